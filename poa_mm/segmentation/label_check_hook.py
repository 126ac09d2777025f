"""Check that masks hold only classes the segmentor has."""

import logging
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mmengine.dataset import BaseDataset
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from poa_mm.datasets.nested import all_transforms
from poa_mm.engine.first_rank import on_first_rank
from poa_mm.engine.inner_model import inner_model
from poa_mm.errors import InputError, printable
from poa_mm.segmentation import label_settings
from poa_mm.segmentation.loss_trial import try_losses
from poa_mm.segmentation.mask_check import Notes, look_through
from poa_mm.segmentation.mask_content import MaskContent

if TYPE_CHECKING:
    from mmseg.structures import SegDataSample

VALIDATION = 'the validation data set'


@HOOKS.register_module()
class LabelCheckHook(Hook):
    """Checks that masks hold only classes the segmentor has, before a run starts and in each batch.

    Before a loop, the hook checks that heads, losses, metrics, pipelines and data sets agree on the
    classes and the ignored label, computes each loss once, and reads all masks, in the first
    process for all: they must hold classes and have the size of their images. Otherwise a label
    beyond the last class would end training with a GPU assertion that names neither image nor
    label, or would silently be left out of the accuracy. It logs files that are left out, classes
    without pixels and the like. In each batch it checks what transforms have made of the masks.

    The hook is registered with mmengine, so that configs of all scopes find it.

    Args:
        max_masks: Read at most so many masks of a data set, evenly spaced; all by default.

    Raises:
        FileNotFoundError: Before a loop, if images or masks are missing; the message says how many,
            and names the first.
        ValueError: Before a loop, if model, metrics and data disagree, or masks cannot be used; the
            message says which and why.
        InputError: In a batch, if a mask has another size than its image, several channels, or a
            label beyond the last class.
    """

    def __init__(self, max_masks: int | None = None) -> None:
        if max_masks is not None and max_masks < 1:
            raise ValueError(f'max_masks must be at least 1, got {max_masks}')
        self.max_masks = max_masks
        self._checked: list[BaseDataset] = []
        self._learned: Sequence[str] | None = None

    def after_load_checkpoint(self, runner: Runner, checkpoint: Mapping) -> None:
        """Record which classes the loaded model has learned."""
        learned = (checkpoint.get('meta') or {}).get('dataset_meta') or {}
        self._learned = learned.get('classes')

    def before_train(self, runner: Runner) -> None:
        """Check the data sets of training and validation."""
        dataset = runner.train_dataloader.dataset
        checks = [self._settings(runner, dataset, 'the training data set')]
        if runner.val_loop is not None:
            other = runner.val_dataloader.dataset
            label_settings.check_same_classes(dataset.metainfo, other.metainfo)
            checks.append(self._settings(runner, other, VALIDATION, runner.val_evaluator.metrics))
        for check in checks:
            self._check_files(runner, check)

    def before_val(self, runner: Runner) -> None:
        """Check the data set of a validation, unless done before training."""
        dataset, metrics = runner.val_dataloader.dataset, runner.val_evaluator.metrics
        if not any(dataset is checked for checked in self._checked):
            self._check_files(runner, self._settings(runner, dataset, VALIDATION, metrics))

    def before_test(self, runner: Runner) -> None:
        """Check the data set of a test."""
        dataset, metrics = runner.test_dataloader.dataset, runner.test_evaluator.metrics
        self._check_files(runner, self._settings(runner, dataset, 'the test data set', metrics))
        note = label_settings.other_classes(self._learned, dataset.metainfo)
        if note:
            runner.logger.log(logging.WARNING, note)

    def _settings(
        self,
        runner: Runner,
        dataset: BaseDataset,
        name: str,
        metrics: Sequence[BaseMetric] | None = None,
    ) -> '_Check':
        """Check settings; a data set without metrics is for training."""
        segmentor, training = inner_model(runner.model), metrics is None
        classes = label_settings.check_classes(segmentor, dataset.metainfo, name, metrics or [])
        label_settings.check_channels(segmentor)
        ignored = label_settings.check_ignored(segmentor, metrics or [], all_transforms(dataset))
        for note in label_settings.fill_padding(segmentor, ignored):
            runner.logger.log(logging.WARNING, note)
        doubts = try_losses(segmentor) if training else []
        return _Check(dataset, name, classes, ignored, training, doubts)

    def _check_files(self, runner: Runner, check: '_Check') -> None:
        """Check the files of a data set, in the first process for all."""
        for level, text in on_first_rank(lambda: check.look(self.max_masks)):
            runner.logger.log(level, text)
        self._checked.append(check.dataset)

    def _before_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None, mode: str = 'train'
    ) -> None:
        """Check the labels of a batch of any loop, while they are still on the CPU."""
        segmentor = inner_model(runner.model)
        ignored = getattr(label_settings.main_head(segmentor), 'ignore_index', None)
        for sample in _samples((data_batch or {})['data_samples']):
            if 'gt_sem_seg' in sample:
                # Training resizes and crops mask and image, testing only the image.
                _check_shape(sample, sample.img_shape if mode == 'train' else sample.ori_shape)
                _check_labels(sample, segmentor.num_classes, ignored)


@dataclass(frozen=True)
class _Check:
    """A data set with checked settings, whose files are to be checked.

    Args:
        dataset: Any data set of mmseg's kind.
        name: Its name in a sentence.
        classes: Their names.
        ignored: The ignored label, or None.
        training: Whether it is for training.
        doubts: Warnings that apply if any pixel is ignored.
    """

    dataset: BaseDataset
    name: str
    classes: Sequence[str]
    ignored: int | None
    training: bool
    doubts: Sequence[str]

    def look(self, most: int | None) -> Notes:
        """Check images and masks, at most so many masks of each part."""
        started = time.monotonic()
        content = MaskContent(self.name, self.classes, self.ignored)
        notes = look_through(self.dataset, content, most)
        content.check(self.training)
        doubts = self.doubts if any(content.ignored) else []
        notes += [(logging.WARNING, text) for text in [*content.remarks(), *doubts]]
        if content.paths:
            seconds = time.monotonic() - started
            text = f'{len(content.paths)} masks of {self.name} checked in {seconds:.1f} s'
            notes.append((logging.INFO, text))
        return notes


def _samples(
    samples: Iterable['SegDataSample | list[SegDataSample]'],
) -> Iterator['SegDataSample']:
    """Yield data samples; test-time augmentation has a list of them for each image."""
    for sample in samples:
        if isinstance(sample, list | tuple):
            yield from sample
        else:
            yield sample


def _check_shape(sample: 'SegDataSample', size: tuple[int, int]) -> None:
    shape = tuple(sample.gt_sem_seg.data.shape)
    if shape != (1, *size):
        raise InputError(
            f'{_path(sample)} is loaded as {shape}, its image as {tuple(size)}: a mask must have '
            'the size of its image, and one number a pixel'
        )


def _check_labels(sample: 'SegDataSample', num_classes: int, ignored: int | None) -> None:
    mask = sample.gt_sem_seg.data
    beyond = mask >= num_classes
    if ignored is not None:
        beyond &= mask != ignored
    if beyond.any():
        raise InputError(
            f'{_path(sample)} becomes the labels {mask[beyond].unique().tolist()}, but the model '
            f'has {num_classes} classes: 0 to {num_classes - 1}, and {ignored} for what is ignored'
        )


def _path(sample: 'SegDataSample') -> str:
    return printable(sample.get('seg_map_path', 'a mask'))
