"""No run with masks that its segmentor has no classes for."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmcv.transforms import LoadAnnotations
from mmengine import fileio
from mmengine.hooks import Hook
from mmengine.model import BaseTTAModel, is_model_wrapper
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from PIL import Image

from poa_mm.errors import InputError

WIDE_MODES = ('I', 'F')  # 16 or 32 bits: I;16, I;16B, I, F


@HOOKS.register_module()
class LabelCheckHook(Hook):
    """Compares the masks of a segmentation run with its model: before it starts, and each batch.

    A label beyond the last class would end training with an assertion of the GPU that names neither
    image nor label, and would be left out of the accuracy in silence; an image without a mask ends
    a run wherever in the epoch it comes up. Registered with mmengine, so that configs of all scopes
    find it.

    Raises:
        FileNotFoundError: Before a loop, if images have no mask; says how many and which first.
        ValueError: Before a loop, if the model has another number of classes than the data set, or
            masks have more than 8 bits.
        InputError: At a batch, if a mask has not the size of its image, or more than one channel,
            or holds a label beyond the last class.
    """

    def __init__(self) -> None:
        self._checked: list[Any] = []

    def before_train(self, runner: Runner) -> None:
        """Look at the lists of images and the names of classes, of validation as well."""
        self._check(runner, runner.train_dataloader.dataset)
        if runner.val_loop is not None:
            self._check(runner, runner.val_dataloader.dataset)

    def before_val(self, runner: Runner) -> None:
        """Look at the list of images and the names of classes, unless training has."""
        self._check(runner, runner.val_dataloader.dataset)

    def before_test(self, runner: Runner) -> None:
        """Look at the list of images and the names of classes."""
        self._check(runner, runner.test_dataloader.dataset)

    def _check(self, runner: Runner, dataset: Any) -> None:
        """Check a data set once in a run."""
        if any(dataset is checked for checked in self._checked):
            return
        _check_classes(dataset, _segmentor(runner.model).num_classes)
        for part in _parts(dataset):
            _check_masks(part)
        self._checked.append(dataset)

    def _before_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, mode: str = 'train'
    ) -> None:
        """Look at the labels of a batch of whatever loop, while they are still on the CPU."""
        segmentor = _segmentor(runner.model)
        for sample in _samples(data_batch['data_samples']):
            if 'gt_sem_seg' in sample:
                # Training resizes and crops mask and image alike, testing the image alone.
                _check_shape(sample, sample.img_shape if mode == 'train' else sample.ori_shape)
                _check_labels(sample, segmentor.num_classes, segmentor.decode_head.ignore_index)


def _segmentor(model: Any) -> Any:
    """The segmentor within what distributes it and what augments its tests."""
    while is_model_wrapper(model) or isinstance(model, BaseTTAModel):
        model = model.module
    return model


def _samples(samples: Any) -> Iterator[Any]:
    """Data samples; test-time augmentation has a list of them for each image."""
    for sample in samples:
        if isinstance(sample, list | tuple):
            yield from sample
        else:
            yield sample


def _check_shape(sample: Any, size: tuple[int, int]) -> None:
    shape = tuple(sample.gt_sem_seg.data.shape)
    if shape != (1, *size):
        raise InputError(
            f'{_path(sample)} is loaded as {shape}, its image as {tuple(size)}: a mask must have '
            'the size of its image, and one number a pixel'
        )


def _check_labels(sample: Any, num_classes: int, ignored: int) -> None:
    mask = sample.gt_sem_seg.data
    beyond = (mask >= num_classes) & (mask != ignored)
    if beyond.any():
        raise InputError(
            f'{_path(sample)} holds the labels {mask[beyond].unique().tolist()}, but the model has '
            f'{num_classes} classes: 0 to {num_classes - 1}, and {ignored} for what is ignored'
        )


def _path(sample: Any) -> str:
    return sample.get('seg_map_path', 'a mask')


def _check_classes(dataset: Any, num_classes: int) -> None:
    classes = dataset.metainfo.get('classes')
    if classes is not None and len(classes) != num_classes:
        raise ValueError(
            f'the data set has {len(classes)} classes, the model {num_classes}: set num_classes of '
            'decode_head and auxiliary_head, or the metainfo of the data set'
        )


def _parts(dataset: Any) -> Iterator[Any]:
    """The data sets with files of their own within what repeats, concatenates or mixes them."""
    inner = getattr(dataset, 'datasets', None) or getattr(dataset, 'dataset', None)
    if inner is None:
        yield dataset
        return
    for part in inner if isinstance(inner, list) else [inner]:
        yield from _parts(part)


def _mask_loaders(pipeline: Any) -> Iterator[LoadAnnotations]:
    """What loads masks in a pipeline, and in those that augment its tests."""
    for transform in pipeline.transforms:
        if isinstance(transform, LoadAnnotations):
            yield transform
        for inner in getattr(transform, 'subroutines', []):
            yield from _mask_loaders(inner)


def _check_masks(dataset: Any) -> None:
    loaders = list(_mask_loaders(dataset.pipeline))
    if not loaders:
        return
    items = [dataset.get_data_info(index) for index in range(len(dataset))]
    missing = [item for item in items if not fileio.exists(item['seg_map_path'])]
    if missing:
        raise FileNotFoundError(
            f'{len(missing)} of {len(items)} images have no mask; the first is '
            f'{missing[0]["img_path"]}, without {missing[0]["seg_map_path"]}'
        )
    if all(loader.imdecode_backend == 'pillow' for loader in loaders):
        _check_modes([item['seg_map_path'] for item in items])


def _check_modes(paths: list[str]) -> None:
    """Refuse what mmseg would cut to 8 bits in silence: 257 would become 1."""
    modes = {path: _mode(path) for path in paths if Path(path).is_file()}
    wide = [path for path, mode in modes.items() if mode.startswith(WIDE_MODES)]
    if wide:
        raise ValueError(
            f'{len(wide)} of {len(paths)} masks have more than 8 bits a pixel, which would be cut '
            f'off; the first is {wide[0]}, of mode {modes[wide[0]]}: save them with modes L or P'
        )


def _mode(path: str) -> str:
    """Mode of an image, of which the head of its file alone is read."""
    with Image.open(path) as image:
        return image.mode
