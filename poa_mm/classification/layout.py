"""Find the classes of a folder of images, and which of its folders is for what."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from poa_mm.datasets.image_folder import SPLIT
from poa_mm.datasets.listing import EXTENSIONS, Listing, first_of, is_hidden, list_images
from poa_mm.errors import printable

TRAIN, VAL, TEST = PARTS = ('train', 'val', 'test')
FEWEST = 2  # classes


@dataclass(frozen=True)
class Layout:
    """Where the class folders of each part lie.

    Attributes:
        root: The folder that the user has named.
        train: The folder of the class folders to train on.
        val: That of validation; None where images of ``train`` are held out for it.
        test: That of the test; None where it is the validation once more.
    """

    root: str
    train: str
    val: str | None = None
    test: str | None = None

    def folder(self, part: str) -> str:
        """Return the folder that the images of a part lie in.

        Args:
            part: One of :data:`PARTS`.
        """
        val = self.val or self.train
        return {TRAIN: self.train, VAL: val, TEST: self.test or val}[part]

    def shares_train(self, part: str) -> bool:
        """Tell whether the images of a part are a share of those in ``train``."""
        return self.val is None and self.folder(part) == self.train


def find_layout(root: str | os.PathLike) -> Layout:
    """Look for the splits of a data set below a folder, or take it for one folder of classes.

    ``train``, ``val`` and ``test`` (also ``training``, ``valid``, ``val2017`` …) are splits if
    ``train`` has sub-folders, and there is nothing else beside them or one of the others has
    sub-folders, too. Else they are classes: ``train`` is one of trucks, buses and trains.

    Args:
        root: A folder with a sub-folder for each class, or with those splits.

    Raises:
        FileNotFoundError: There is no such folder.
        ValueError: Several splits to train on, or splits without class folders.
    """
    path = Path(root).expanduser()
    if not path.is_dir():
        raise FileNotFoundError(f'there is no image folder {printable(str(root))}')
    names = _folders(path)
    found: dict[str, list[str]] = {part: [] for part in PARTS}
    for name in names:
        if SPLIT.fullmatch(name.lower()):
            found[_part_of(name)].append(name)
    with_classes = {part: [n for n in found[part] if _folders(path / n)] for part in PARTS}
    others = [name for name in names if not any(name in group for group in found.values())]
    if found[TRAIN] and not with_classes[TRAIN] and not others:
        train = printable(str(path / found[TRAIN][0]))
        raise ValueError(f'{train} has no sub-folders: put the images of each class in one')
    if not with_classes[TRAIN] or (others and not (with_classes[VAL] or with_classes[TEST])):
        return Layout(str(path), str(path))
    for part, several in with_classes.items():
        if len(several) > 1:
            raise ValueError(
                f'{printable(str(path))} has several folders for {part}: {first_of(several)}; '
                'leave one of them there'
            )
    folders = {part: str(path / group[0]) for part, group in with_classes.items() if group}
    return Layout(str(path), folders[TRAIN], folders.get(VAL), folders.get(TEST))


def find_classes(layout: Layout, extensions: Sequence[str] = EXTENSIONS) -> tuple[str, ...]:
    """Return the names of the folders to train on, in sorted order; those without images are none.

    Raises:
        ValueError: No image in a sub-folder, or fewer than two classes.
    """
    listing = list_images(layout.train, extensions)
    return check_classes(listing)


def check_classes(listing: Listing) -> tuple[str, ...]:
    """Return the names of the class folders that have images; see :func:`find_classes`."""
    classes = tuple(sorted({image.split('/', 1)[0] for image in listing.images if '/' in image}))
    root = printable(listing.root)
    if not classes:
        kinds = ', '.join(listing.endings)
        raise ValueError(
            f'no images in class sub-folders of {root}: files count if their names end in one of '
            f'{kinds}'
        )
    if len(classes) < FEWEST:
        inner = f'{root}/{printable(classes[0])}'
        advice = (
            f'; if the classes are the sub-folders of {inner}, name that'
            if len(_folders(Path(listing.root, classes[0]))) >= FEWEST
            else ''
        )
        raise ValueError(
            f'{root} has images of one class only ({printable(classes[0])}): put those of each '
            f'class, two at least, into a sub-folder{advice}'
        )
    return classes


def held_out(images: Sequence[str], share: float, seed: int) -> set[str]:
    """Choose images of one class to validate on, at random by their names.

    Files that come or go later do not move others between training and validation, but for the few
    that keep the share.

    Args:
        images: Paths within the folder, which together are a class.
        share: Of the images; rounded, but at least one and not all.
        seed: Another one makes another choice.

    Returns:
        The chosen ones. Nothing of a single image: training needs it.
    """
    number = min(max(round(share * len(images)), 1), len(images) - 1)
    return set(sorted(images, key=lambda image: _rank(image, seed))[:number])


def _rank(image: str, seed: int) -> bytes:
    name = f'{seed}/{image}'.encode(errors='surrogateescape')
    return hashlib.sha256(name).digest()


def _part_of(name: str) -> str:
    start = name.lower()
    return TRAIN if start.startswith(TRAIN) else TEST if start.startswith(TEST) else VAL


def _folders(path: Path) -> list[str]:
    with os.scandir(path) as entries:
        return sorted(e.name for e in entries if not is_hidden(e.name) and e.is_dir())
