"""Check that annotations and metrics of a detection run are for its images."""

import logging

from mmengine.dataset import BaseDataset
from mmengine.evaluator import Evaluator
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from poa_mm.datasets.image_sizes import check_sizes, sized
from poa_mm.datasets.nested import parts_of

SIZED = {'img_path', 'width', 'height'}


@HOOKS.register_module()
class AnnotationCheckHook(Hook):
    """Checks, before a detection run starts, that annotations and metrics are for its images.

    A metric that reads another annotation file than its data set would end the first validation.
    :class:`~poa_mm.detection.coco.CheckedCocoDataset` checks that images are readable and have the
    stated size; this hook does so for other data sets. It is registered with mmengine, so that
    configs of all scopes find it.

    Raises:
        ValueError: Before a loop, if metrics do not have the images, or images have another size or
            cannot be read; the message says how many, and names the first.
    """

    def __init__(self) -> None:
        self._checked: list[BaseDataset] = []

    def before_train(self, runner: Runner) -> None:
        """Check the images of training, and images and metrics of validation."""
        self._check(runner.train_dataloader.dataset)
        if runner.val_loop is not None:
            self.before_val(runner)

    def before_val(self, runner: Runner) -> None:
        """Check images and metrics of a validation, unless done before training."""
        self._check(runner.val_dataloader.dataset, runner.val_evaluator)

    def before_test(self, runner: Runner) -> None:
        """Check images and metrics of a test."""
        self._check(runner.test_dataloader.dataset, runner.test_evaluator)

    def _check(self, dataset: BaseDataset, evaluator: Evaluator | None = None) -> None:
        """Check each data set once in a run."""
        if any(dataset is checked for checked in self._checked):
            return
        if evaluator is not None:
            _check_metrics(dataset, evaluator)
        for part in parts_of(dataset):
            if not getattr(part, 'images_checked', False):
                _check_images(part)
        self._checked.append(dataset)


def _check_images(dataset: BaseDataset) -> None:
    if getattr(dataset, 'backend_args', None) is not None:
        return
    infos = [dataset.get_data_info(index) for index in range(len(dataset))]
    local = [i for i in infos if i.keys() >= SIZED and '://' not in i['img_path']]
    check_sizes([sized(info) for info in local], dataset.pipeline, _source(dataset))


def _source(dataset: BaseDataset) -> str:
    return getattr(dataset, 'ann_file', None) or type(dataset).__name__


def _check_metrics(dataset: BaseDataset, evaluator: Evaluator) -> None:
    """Check that metrics with an annotation file of their own have the images of a data set."""
    found = [getattr(metric, '_coco_api', None) for metric in evaluator.metrics]
    indices = [index for index in found if index is not None]
    if not indices or len(list(parts_of(dataset))) != 1:  # several files need a metric each
        return
    ids = [dataset.get_data_info(number).get('img_id') for number in range(len(dataset))]
    for index in indices:
        path = getattr(index, 'path', 'ann_file')
        unknown = [number for number in ids if number not in index.imgs]
        if unknown:
            raise ValueError(
                f'{len(unknown)} of {len(ids)} images of {_source(dataset)} are not in {path} of '
                f'the metric, the first has id {unknown[0]!r}: set ann_file of '
                'val_evaluator or test_evaluator'
            )
        if len(index.imgs) > len(set(ids)):
            print_log(
                f'{path} of the metric has {len(index.imgs)} images, of which {len(set(ids))} are '
                'tested: the objects of the others count as missed',
                logger='current',
                level=logging.WARNING,
            )
