"""Load the images below a folder, all or those of a list."""

import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine import fileio
from mmengine.logging import MMLogger, print_log
from mmpretrain.datasets import CustomDataset

from poa_mm.datasets.image_files import ImageFiles
from poa_mm.datasets.listing import EXTENSIONS, Listing, first_of, list_images
from poa_mm.datasets.subset import read_subset
from poa_mm.errors import printable
from poa_mm.registry import DATASETS
from poa_mm.screen import tell

SPLIT = re.compile(r'(train|training|val|valid|validation|dev|test|testing)(\d{4})?')


@DATASETS.register_module()
class ImageFolder(ImageFiles, CustomDataset):
    """All images below a folder, flat or nested to any depth, without metadata files.

    What it does about unreadable files is that of :class:`~poa_mm.datasets.image_files.ImageFiles`.

    Args:
        data_root: The folder. ``~`` stands for the home folder.
        with_label: Take the sub-folders directly below ``data_root`` as classes, in sorted order;
            one without an image keeps its label. Where ``classes`` are given and contain all of
            their names, labels follow ``classes``. Without labels (the default) the folder
            structure means nothing.
        extensions: What counts as an image, in any letter case.
        subset: List of the images to take, a file name a line; None takes all. Labels stay those of
            the whole folder. See :func:`~poa_mm.datasets.subset.read_subset` for its forms.
        **kwargs: Arguments of :class:`mmpretrain.datasets.CustomDataset` (``pipeline``,
            ``test_mode``, an ``ann_file`` with labels in place of class folders …).

    Raises:
        FileNotFoundError: There is no such folder or list.
        ValueError: The folder holds no image; the list names what is not there; with labels, the
            sub-folders are the splits of a data set, or not as many as ``classes``; in test mode, a
            folder in it cannot be opened.
        UnreadableImageError: In test mode, an unreadable image; while training, more than
            ``max_refetch`` images drawn in a row were unreadable.
    """

    def __init__(
        self,
        data_root: str | Path,
        with_label: bool = False,
        extensions: Sequence[str] = EXTENSIONS,
        subset: str | Path | None = None,
        **kwargs: Any,
    ) -> None:
        if subset is not None and kwargs.get('ann_file'):
            raise ValueError('subset and ann_file both say which images there are: give one')
        self.subset = None if subset is None else Path(subset).expanduser()
        self._endings = tuple(extensions)
        super().__init__(
            data_root=str(Path(data_root).expanduser()),
            with_label=with_label,
            extensions=extensions,
            **kwargs,
        )

    def list_images(self) -> list[dict]:
        """List the images in sorted order, each as ``dict(img_path[, gt_label])``."""
        if not self.ann_file:
            return self._subset_of(self._list_folder())
        if not fileio.isdir(self.img_prefix):
            raise FileNotFoundError(f'there is no image folder {printable(self.img_prefix)}')
        try:
            return CustomDataset.load_data_list(self)
        except ValueError as error:
            raise ValueError(
                f'{printable(self.ann_file)} must have a name and a label in each line ({error}); '
                'a list of names of a folder with class folders is a subset'
            ) from error

    def _subset_of(self, data_list: list[dict]) -> list[dict]:
        """Take the images that the list names, if there is one."""
        if self.subset is None:
            return data_list
        root = self.img_prefix.rstrip('/')
        names = [info['img_path'].removeprefix(f'{root}/') for info in data_list]
        labels = [info['gt_label'] for info in data_list] if self.with_label else None
        rows = read_subset(self.subset, root, names, labels)
        number = f'{len(rows)} of {len(names)} images'
        tell(MMLogger.get_current_instance(), f'{printable(self.subset)}: {number}')
        chosen = {data_list[row].get('gt_label') for row in rows}
        without = [self.CLASSES[label] for label in sorted(set(labels or ()) - chosen)]
        if without:
            missing = first_of(without)
            _log(f'{printable(self.subset)}: no images of the classes {missing}', logging.WARNING)
        return [data_list[row] for row in rows]

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


def _check_no_splits(listing: Listing) -> None:
    """Check that the sub-folders are classes, not splits."""
    if listing.folders and all(SPLIT.fullmatch(name.lower()) for name in listing.folders):
        raise ValueError(
            f'{printable(listing.root)} holds the splits {first_of(listing.folders)} in place of '
            'classes: give one of them as data_root'
        )


def _log(text: str, level: int = logging.INFO) -> None:
    print_log(text, logger='current', level=level)
