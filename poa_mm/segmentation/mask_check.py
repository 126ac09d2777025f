"""Check the files of segmentation data sets before a run, also within wrappers."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mmcv.transforms import LoadAnnotations
from mmengine import fileio
from mmengine.dataset import BaseDataset
from torch.utils.data import Dataset

from poa_mm.datasets.image_sizes import image_loader
from poa_mm.datasets.listing import count_kinds
from poa_mm.datasets.nested import parts_of, transforms_of
from poa_mm.errors import printable
from poa_mm.segmentation.mask_content import LabelScale, MaskContent
from poa_mm.segmentation.mask_pairs import left_out, unused_files
from poa_mm.segmentation.mask_scan import scan
from poa_mm.segmentation.masks import label_table

Item = Mapping[str, Any]  # a sample of a data set
Notes = list[tuple[int, str]]
"""Levels of :mod:`logging` and a sentence each."""


def look_through(dataset: Dataset, content: MaskContent, most: int | None = None) -> Notes:
    """Check that images and masks of a data set exist, and read the masks.

    Args:
        dataset: A data set of mmseg's kind, or one that repeats, concatenates or mixes several.
            If its pipelines load no masks, it needs none.
        content: Has the classes; collects what the masks hold.
        most: How many masks of each part to read at most, evenly spaced. All by default.

    Returns:
        Remarks on files that are left out.

    Raises:
        FileNotFoundError: Images or masks are missing; the message says how many, and names the
            first.
        ValueError: Masks cannot be used, or data set, pipeline and model take numbers for different
            labels.
    """
    notes: Notes = []
    for part in parts_of(dataset):
        items = [part.get_data_info(index) for index in range(len(part))]
        transforms = list(transforms_of(getattr(part, 'pipeline', [])))
        loaders = [one for one in transforms if isinstance(one, LoadAnnotations)]
        _check_images(part, items)
        if not loaders:
            notes += left_out(part, items, with_masks=False)
            continue
        _check_masks(part, items, loaders[0])
        notes += left_out(part, items, with_masks=True)
        num_classes, ignored = len(content.classes), content.ignored_label
        check_numbering(items[0], loaders, num_classes, ignored)
        content.reduced |= bool(items[0].get('reduce_zero_label'))
        table = label_table(items[0].get('reduce_zero_label', False), items[0].get('label_map'))
        step = 1 if most is None else -(-len(items) // most)
        scale = LabelScale(num_classes, ignored, table)
        scan(items[::step], loaders[0], image_loader(transforms), scale, content)
    return notes


def _check_images(part: BaseDataset, items: Sequence[Item]) -> None:
    backend_args = getattr(part, 'backend_args', None)
    paths = [item['img_path'] for item in items if 'img_path' in item]
    missing = [path for path in paths if not fileio.exists(path, backend_args)]
    if missing:
        raise FileNotFoundError(
            f'{len(missing)} of {len(items)} images are missing; the first is '
            f'{printable(missing[0])}'
        )


def _check_masks(part: BaseDataset, items: Sequence[Item], loader: LoadAnnotations) -> None:
    if any('seg_map_path' not in item for item in items):
        raise ValueError('the data set has no folder of masks: set data_prefix.seg_map_path')
    missing = [
        item for item in items if not fileio.exists(item['seg_map_path'], loader.backend_args)
    ]
    if missing:
        first = missing[0]
        others = unused_files(part, 'seg_map_path', items) if hasattr(part, 'data_prefix') else []
        found = f'; of other names there are {count_kinds(others)}' if others else ''
        raise FileNotFoundError(
            f'{len(missing)} of {len(items)} images have no mask; the first is '
            f'{printable(first["img_path"])}, without {printable(first["seg_map_path"])}{found}'
        )


def check_numbering(
    item: Item, loaders: Iterable[LoadAnnotations], num_classes: int, ignored: int | None
) -> None:
    """Check that a data set maps the numbers in its masks to labels of its model.

    Args:
        item: An image of the data set.
        loaders: The ``LoadAnnotations`` of its pipeline.
        num_classes: Of the model.
        ignored: The label that the model ignores.

    Raises:
        ValueError: Data set and pipeline differ in ``reduce_zero_label``; or the zero label, or one
            of a ``label_map``, becomes neither a class nor the ignored label.
    """
    reduced = item.get('reduce_zero_label', False)
    for loader in loaders:
        stated = getattr(loader, 'reduce_zero_label', None)
        if stated not in (None, reduced):
            raise ValueError(
                f'reduce_zero_label is {reduced} in the data set, {stated} in its LoadAnnotations: '
                'set it in the data set alone'
            )
    if reduced and ignored != 255:
        raise ValueError(
            f'reduce_zero_label=True makes 0 the label 255, but decode_head ignores {ignored} '
            '(ignore_index)'
        )
    wrong = {
        old: new
        for old, new in (item.get('label_map') or {}).items()
        if new != ignored and not 0 <= new < num_classes
    }
    if wrong:
        raise ValueError(
            f'label_map of the data set is {wrong} where the model has {num_classes} classes: 0 '
            f'to {num_classes - 1}, and {ignored} for what is ignored'
        )
