"""Load images below a folder; in training, skip files that cannot be read."""

import logging
import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from mmengine import fileio
from mmengine.logging import print_log
from mmpretrain.datasets import CustomDataset

from poa_mm.datasets.images import (
    UnreadableImageError,
    add_image,
    middle_of,
    read_reduced,
)
from poa_mm.datasets.listing import EXTENSIONS, Listing, first_of, list_images
from poa_mm.datasets.notes import FileNotes
from poa_mm.datasets.samplers import SampleIndex
from poa_mm.errors import printable
from poa_mm.registry import DATASETS

SPLIT = re.compile(r'(train|training|val|valid|validation|dev|test|testing)(\d{4})?')


@DATASETS.register_module()
class ImageFolder(CustomDataset):
    """All images below a folder, flat or nested to any depth, without metadata files.

    An unreadable file met in training is named once in a warning, skipped from then on (another
    sample is drawn in its place, as a function of the position under
    :class:`~poa_mm.datasets.PositionSampler`) and counted. With ``test_mode=True`` it is an error,
    since an evaluation must not replace samples silently.

    In training a large JPEG comes at a reduced scale if the first transform of the pipeline says
    that this is enough, as :class:`~poa_mm.datasets.MultiCrop` does. Of an image that is more than
    100 times as long as wide, the middle comes.

    Args:
        data_root: The folder. ``~`` stands for the home folder.
        with_label: Take the sub-folders directly below ``data_root`` as classes, in sorted order;
            one without an image keeps its label. Where ``classes`` are given and contain all of
            their names, labels follow ``classes``. Without labels (the default) the folder
            structure means nothing.
        extensions: What counts as an image, in any letter case.
        **kwargs: Arguments of :class:`mmpretrain.datasets.CustomDataset` (``ann_file`` for a
            subset, ``pipeline``, ``test_mode`` …).

    Raises:
        FileNotFoundError: There is no such folder.
        ValueError: The folder holds no image; with labels, its sub-folders are the splits of a data
            set, or not as many as ``classes``; in test mode, a folder in it cannot be opened.
        UnreadableImageError: In test mode, an unreadable image; while training, more than
            ``max_refetch`` images drawn in a row were unreadable.
    """

    def __init__(
        self,
        data_root: str | Path,
        with_label: bool = False,
        extensions: Sequence[str] = EXTENSIONS,
        **kwargs: Any,
    ) -> None:
        self._failures_in_a_row = 0
        self._failed = 0
        self._unreadable = torch.zeros(0, dtype=torch.bool)
        self._notes = FileNotes()
        self._endings = tuple(extensions)
        super().__init__(
            data_root=str(Path(data_root).expanduser()),
            with_label=with_label,
            extensions=extensions,
            **kwargs,
        )

    @property
    def num_unreadable(self) -> int:
        """Number of unreadable images found so far by this process and its loader workers."""
        return int(self._unreadable.sum())

    def load_data_list(self) -> list[dict]:
        """List the images in sorted order, each as ``dict(img_path, row[, gt_label])``."""
        if self.ann_file:
            if not fileio.isdir(self.img_prefix):
                raise FileNotFoundError(f'there is no image folder {printable(self.img_prefix)}')
            data_list = super().load_data_list()
        else:
            data_list = self._list_folder()
        for row, info in enumerate(data_list):
            info['row'] = row
        # Shared memory: what one loader worker finds broken, the others need not find and name.
        self._unreadable = torch.zeros(len(data_list), dtype=torch.bool).share_memory_()
        return data_list

    def prepare_data(self, idx: int) -> Any:
        """Decode the image and run the pipeline; return None (draw another) if it is unreadable."""
        results = self.get_data_info(idx)
        row, path = results.pop('row'), results['img_path']
        if self.test_mode:
            return self.pipeline(self._read(results))
        if self._unreadable[row]:
            return self._failure(idx, path)
        try:
            self._read(results)
        except UnreadableImageError as error:
            self._report(row, error)
            return self._failure(idx, path)
        self._failures_in_a_row = 0
        return self.pipeline(results)

    def _read(self, results: dict[str, Any]) -> dict[str, Any]:
        """Add the image, at a reduced scale if the pipeline says which scale it needs."""
        path = results['img_path']
        first = next(iter(self.pipeline.transforms), None)
        reduction = None if self.test_mode else getattr(first, 'reduction', None)
        if reduction is not None:
            reduction = partial(reduction, results['sample_idx'])
        image, full_shape = read_reduced(path, reduction, self._notes)
        if full_shape != image.shape[:2]:
            add_image(results, image).update(ori_shape=full_shape, reduced_from=full_shape)
            return results
        return add_image(results, middle_of(image, path, self._notes))

    def _list_folder(self) -> list[dict]:
        listing = list_images(self.img_prefix, self._endings)
        if self.with_label:
            _check_no_splits(listing)
        if listing.closed and self.test_mode:
            raise ValueError(listing.closed_folders)
        listing.report(self.with_label)
        if not self.with_label:
            return [{'img_path': listing.path(image)} for image in listing.images]
        labels = self.folder_to_idx = self._labels_of(listing.folders)
        images = sorted(image.split('/', 1) for image in listing.images if '/' in image)
        empty = set(listing.folders) - {folder for folder, _ in images}
        if empty:
            root, names = printable(listing.root), first_of(sorted(empty))
            _log(f'{root}: no images of the classes {names}', logging.WARNING)
        return [
            {'img_path': listing.path(f'{folder}/{image}'), 'gt_label': labels[folder]}
            for folder, image in images
        ]

    def _labels_of(self, folders: list[str]) -> dict[str, int]:
        """Return the label of each class folder: its index in the classes, or among folders."""
        if self.CLASSES is None:
            self._metainfo['classes'] = tuple(folders)
        classes = list(self.CLASSES)
        if set(folders) <= set(classes):
            return {folder: classes.index(folder) for folder in folders}
        if len(folders) == len(classes):  # the folders have other names, in the same order
            return {folder: label for label, folder in enumerate(folders)}
        raise ValueError(
            f'{printable(self.img_prefix)} holds {len(folders)} class folders '
            f'({first_of(folders)}) for {len(classes)} classes ({first_of(classes)})'
        )

    def _rand_another(self) -> int:
        """Return the index to try after one has failed."""
        if isinstance(self._failed, SampleIndex):
            return self._failed.another(len(self), self._failures_in_a_row)
        return super()._rand_another()

    def _report(self, row: int, error: UnreadableImageError) -> None:
        if self._unreadable[row]:  # another worker met it in the meantime
            return
        self._unreadable[row] = True
        _log(
            f'{error}. Skipped from now on ({self.num_unreadable} of {len(self._unreadable)} '
            'images unreadable so far)',
            logging.WARNING,
        )

    def _failure(self, index: int, path: str) -> None:
        """Request another image; raise after more than ``max_refetch`` failures in a row."""
        self._failed = index
        self._failures_in_a_row += 1
        if self._failures_in_a_row > self.max_refetch:
            raise UnreadableImageError(
                f'no readable image in {self._failures_in_a_row} draws from '
                f'{printable(self.img_prefix)} ({self.num_unreadable} of {len(self._unreadable)} '
                f'are known to be unreadable); the last was {printable(path)}'
            )


def _check_no_splits(listing: Listing) -> None:
    """Check that the sub-folders are classes, not splits."""
    if listing.folders and all(SPLIT.fullmatch(name.lower()) for name in listing.folders):
        raise ValueError(
            f'{printable(listing.root)} holds the splits {first_of(listing.folders)} in place of '
            'classes: give one of them as data_root'
        )


def _log(text: str, level: int = logging.INFO) -> None:
    print_log(text, logger='current', level=level)
