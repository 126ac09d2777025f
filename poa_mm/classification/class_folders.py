"""Train and validate on a folder with a sub-folder for each class."""

import logging
from pathlib import Path
from typing import Any

from mmengine.logging import MMLogger

from poa_mm.classification.layout import (
    PARTS,
    TRAIN,
    check_classes,
    find_layout,
    held_out,
)
from poa_mm.datasets.image_folder import ImageFolder
from poa_mm.datasets.listing import Listing, first_of, list_images
from poa_mm.errors import printable
from poa_mm.registry import DATASETS
from poa_mm.screen import tell


@DATASETS.register_module()
class ClassFolders(ImageFolder):
    """One part of a folder of labelled images: what to train, to validate or to test on.

    The folder has a sub-folder for each class, or ``train``, ``val`` and perhaps ``test`` with
    these. Without ``val``, a share of the images of each class is held out of training, always the
    same for a seed. Without a labelled ``test``, the test is the validation once more.

    Classes are the sub-folders to train on that have images, in sorted order. Images may lie deeper
    within them.

    Args:
        data_root: The folder. ``~`` stands for the home folder.
        part: ``'train'``, ``'val'`` or ``'test'``.
        held_out: Share of each class to validate on, where there is no folder for it; None for
            none, where the images to validate on come from elsewhere.
        split_seed: Seed of their choice.
        metainfo: ``classes`` of another folder, such as that of training, whose labels hold here.
        **kwargs: Arguments of :class:`~poa_mm.datasets.ImageFolder`.

    Raises:
        FileNotFoundError: There is no such folder.
        ValueError: Fewer than two classes, a class to validate on that training has not, an unknown
            part, a share outside (0, 1), or a ``subset`` of images of which a share is held out.
    """

    def __init__(
        self,
        data_root: str | Path,
        part: str = TRAIN,
        held_out: float | None = 0.2,
        split_seed: int = 0,
        **kwargs: Any,
    ) -> None:
        if part not in PARTS:
            raise ValueError(f'part must be one of {PARTS}, got {part!r}')
        if held_out is not None and not (isinstance(held_out, float) and 0 < held_out < 1):
            raise ValueError(f'held_out must be between 0 and 1, got {held_out!r}')
        self.part, self.share, self.split_seed = part, held_out, split_seed
        self.layout = find_layout(data_root)
        if kwargs.get('subset') is not None and self._is_shared:
            raise ValueError(
                f'{printable(data_root)} has no val folder, so {held_out:.3g} of each class are '
                'held out to validate on, which a subset may name: move those into one'
            )
        super().__init__(self.layout.folder(part), with_label=True, **kwargs)

    @property
    def place(self) -> str:
        """Where the images are from, for the summary of a run."""
        folder = printable(self.layout.folder(self.part))
        if not self._is_shared:
            return folder
        which = f'but the {self.share:.3g} of each class that is held out'
        if self.part != TRAIN:
            which = f'{self.share:.3g} of each class, held out of training'
        return f'{folder}: {which} (split_seed={self.split_seed})'

    @property
    def _is_shared(self) -> bool:
        return self.share is not None and self.layout.shares_train(self.part)

    def _list_folder(self) -> list[dict]:
        """List the images of this part, each as ``dict(img_path, gt_label)``."""
        listing = list_images(self.img_prefix, self._endings)
        if listing.closed and self.test_mode:
            raise ValueError(listing.closed_folders)
        listing.report(labelled=True)
        images = _by_class(listing)
        classes = self._settle_classes(listing)
        self._compare(listing, images, classes)
        if self._is_shared:
            images = {name: self._own_share(found) for name, found in images.items()}
        return [
            {'img_path': listing.path(image), 'gt_label': label}
            for label, name in enumerate(classes)
            for image in images.get(name, [])
        ]

    def _settle_classes(self, listing: Listing) -> tuple[str, ...]:
        """Return the classes of the labels: those given, or the folders to train on."""
        if self.CLASSES is None:
            train = self.layout.train
            same = listing.root == train
            folders = listing if same else list_images(train, self._endings)
            self._metainfo['classes'] = check_classes(folders)
        return tuple(self.CLASSES)

    def _own_share(self, images: list[str]) -> list[str]:
        assert self.share is not None
        others = held_out(images, self.share, self.split_seed)
        return [image for image in images if (image in others) != (self.part == TRAIN)]

    def _compare(
        self, listing: Listing, images: dict[str, list[str]], classes: tuple[str, ...]
    ) -> None:
        """Check that the folders are classes, and warn of those that are missing."""
        root = printable(listing.root)
        unknown = sorted(set(images) - set(classes))
        if unknown:
            raise ValueError(
                f'{root} has images of classes that are not trained: {first_of(unknown)}; trained '
                f'are {first_of(classes)}'
            )
        missing = [name for name in classes if name not in images]
        if missing:
            _warn(f'{root} has no images of the classes {first_of(missing)}')
        empty = sorted(set(listing.folders) - set(images) - set(classes))
        if empty:
            _warn(f'{root}: folders without images are no classes: {first_of(empty)}')
        alone = [name for name, found in images.items() if len(found) == 1]
        if self._is_shared and alone and self.part != TRAIN:
            _warn(f'{root}: classes of one image are not validated: {first_of(alone)}')


def _by_class(listing: Listing) -> dict[str, list[str]]:
    """Return the images of each folder directly below the root that has some."""
    images: dict[str, list[str]] = {}
    for image in listing.images:
        folder, slash, _ = image.partition('/')
        if slash:
            images.setdefault(folder, []).append(image)
    return images


def _warn(text: str) -> None:
    tell(MMLogger.get_current_instance(), text, logging.WARNING)
