"""List the images below a folder, and count other files."""

import heapq
import logging
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from mmengine import fileio
from mmengine.logging import MMLogger
from PIL import features

from poa_mm.errors import printable
from poa_mm.screen import tell

AVIF = 'avif' in features.modules and features.check_module('avif')
EXTENSIONS = (
    *('.bmp', '.jpeg', '.jpg', '.pgm', '.png', '.ppm', '.tif', '.tiff', '.webp'),
    *('.gif', '.jfif', '.jpe', '.pbm', '.pnm', *(['.avif'] if AVIF else [])),
)
"""How the names of images end, in any letter case; AVIF if this Pillow reads it."""

SYSTEM_FOLDERS = frozenset(
    ['__MACOSX', '@eaDir', '#recycle', '$RECYCLE.BIN', 'System Volume Information', 'lost+found']
)
"""Folders that operating systems make beside a user's. They are left out like hidden ones."""

FILE, FOLDER, LINK = 'file', 'folder', 'link to a folder'
HIDDEN, HIDDEN_FOLDER, BROKEN_LINK = 'hidden', 'hidden folders', 'broken links'
NAMED = 5  # of a long list


@dataclass(frozen=True)
class Listing:
    """The files below a folder.

    Attributes:
        root: The folder.
        endings: How the names of images end, in lower case.
        images: Their paths, relative to it, sorted.
        folders: Names of the folders directly below it, sorted.
        ignored: Number of other files, and of hidden folders, by kind.
        repeated: Links that were not followed: to folders that are read under another name.
        closed: Folders that cannot be opened, and why.
    """

    root: str
    endings: tuple[str, ...]
    images: list[str] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)
    ignored: Counter[str] = field(default_factory=Counter)
    repeated: list[str] = field(default_factory=list)
    closed: dict[str, str] = field(default_factory=dict)

    def path(self, image: str) -> str:
        """Return the path of an image."""
        return _join(self.root, image)

    @property
    def closed_folders(self) -> str:
        """A sentence on the folders that cannot be opened."""
        closed = first_of(f'{name} ({reason})' for name, reason in self.closed.items())
        return f'{printable(self.root)}: folders that cannot be opened: {closed}'

    def report(self, labelled: bool = False) -> None:
        """Log in one line how many images and other files there are; warn of anything unusual.

        Args:
            labelled: The folders directly below the root are classes.

        Raises:
            ValueError: There is no image, or none in a folder of a class.
        """
        root = printable(self.root)
        kinds = _in_words(self.ignored)
        others = f', {self.ignored.total()} other files ignored ({kinds})' if kinds else ''
        nested = [image for image in self.images if '/' in image] if labelled else self.images
        if not nested:
            place = 'class sub-folders of ' if labelled else ''
            raise ValueError(
                f'no images in {place}{root}{others}: files count if their names end in one of '
                f'{", ".join(self.endings)}'
            )
        classes = f' in {len(self.folders)} classes' if labelled else ''
        _log(f'{root}: {len(nested)} images{classes}{others}')
        if len(nested) < len(self.images):
            outside = len(self.images) - len(nested)
            _log(f'{root}: {outside} images lie in no class folder: left out', logging.WARNING)
        if self.repeated:
            links = first_of(self.repeated)
            _log(f'{root}: links to folders that are read already: {links}', logging.WARNING)
        if self.closed:
            _log(self.closed_folders, logging.WARNING)


def list_images(
    root: str,
    extensions: Sequence[str] = EXTENSIONS,
    backend_args: dict[str, object] | None = None,
) -> Listing:
    """List the images below a folder, nested to any depth.

    Links to folders are followed, but each folder is read once: a link to a parent would have no
    end. Hidden files and folders and those of operating systems are left out, and so is what is no
    file, such as a pipe.

    Args:
        root: Folder in any place that :mod:`mmengine.fileio` knows.
        extensions: How the names of images end, in any letter case. An empty one takes all files.
        backend_args: Options of :mod:`mmengine.fileio`.

    Raises:
        FileNotFoundError: There is no such folder.
    """
    backend = fileio.get_file_backend(root, backend_args=backend_args)
    if not backend.isdir(root):
        raise FileNotFoundError(f'there is no image folder {printable(root)}')
    listing = Listing(root.rstrip('/') or '/', tuple(ending.lower() for ending in extensions))
    local = isinstance(backend, fileio.LocalBackend)
    for path in _local_files(listing) if local else _remote_files(listing, backend):
        if path.lower().endswith(listing.endings):
            listing.images.append(path)
        else:
            listing.ignored[_kind_of_file(path)] += 1
    listing.images.sort()
    listing.folders.sort()
    listing.repeated.sort()
    return listing


def first_of(names: Iterable[str]) -> str:
    """Return the first few names, and how many more there are."""
    shown = [printable(name) for name in names]
    more = f' and {len(shown) - NAMED} more' if len(shown) > NAMED else ''
    return ', '.join(shown[:NAMED]) + more


def count_kinds(paths: Iterable[str]) -> str:
    """Count files of each kind, the most frequent first: ``3 .txt, 1 .db``."""
    return _in_words(Counter(map(_kind_of_file, paths)))


def _in_words(counts: Counter[str]) -> str:
    common = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return first_of(f'{count} {kind}' for kind, count in common)


def _local_files(listing: Listing) -> Iterator[str]:
    """Yield files that are not hidden, relative to the root; record the rest in the listing."""
    read: set[str] = set()
    links = ['']  # a heap, looked at after all real folders: of two names the link is one too many
    while links:
        link = heapq.heappop(links)
        folders = [(link, os.path.realpath(_join(listing.root, link)))]
        while folders:
            folder, real = folders.pop()
            if real in read:
                listing.repeated.append(folder)
                continue
            read.add(real)
            if folder and '/' not in folder:
                listing.folders.append(folder)
            for entry in _entries(listing, folder):
                path = f'{folder}/{entry.name}' if folder else entry.name
                kind = _kind_of(entry)
                if kind == FILE:
                    yield path
                elif kind == FOLDER:
                    folders.append((path, f'{real}/{entry.name}'))
                elif kind == LINK:
                    heapq.heappush(links, path)
                else:
                    listing.ignored[kind] += 1


def _entries(listing: Listing, folder: str) -> list[os.DirEntry]:
    try:
        with os.scandir(_join(listing.root, folder)) as entries:
            return list(entries)
    except OSError as error:
        listing.closed[folder or '.'] = str(error.strerror)
        return []


def _kind_of(entry: os.DirEntry) -> str:
    """Return whether it is a folder or file, or why it is neither."""
    try:
        folder, file = entry.is_dir(), entry.is_file()
    except OSError:  # a link to itself
        folder = file = False
    if is_hidden(entry.name):
        return HIDDEN_FOLDER if folder else HIDDEN
    if folder:
        return LINK if entry.is_symlink() else FOLDER
    if file:
        return FILE
    return BROKEN_LINK if entry.is_symlink() else 'pipes or devices'


def _remote_files(listing: Listing, backend: fileio.BaseStorageBackend) -> Iterator[str]:
    """Yield files of a remote folder, which has no links."""
    for path in backend.list_dir_or_file(listing.root, list_dir=False, recursive=True):
        if any(map(is_hidden, path.split('/'))):
            listing.ignored[HIDDEN] += 1
        else:
            yield path
    folders = backend.list_dir_or_file(listing.root, list_file=False)
    listing.folders.extend(name for name in folders if not is_hidden(name))


def is_hidden(name: str) -> bool:
    """Tell whether a file or folder is left out by its name."""
    return name.startswith('.') or name in SYSTEM_FOLDERS


def _kind_of_file(path: str) -> str:
    suffix = PurePosixPath(path).suffix.lower()
    if not suffix:
        return 'without suffix'
    return suffix if re.fullmatch(r'\.[a-z0-9]{1,8}', suffix) else 'of odd names'


def _join(root: str, path: str) -> str:
    return f'{root.rstrip("/")}/{path}' if path else root


def _log(text: str, level: int = logging.INFO) -> None:
    tell(MMLogger.get_current_instance(), text, level)
