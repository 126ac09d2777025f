"""Match masks to images, with suffixes in any letter case."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mmengine import fileio, list_from_file
from mmengine.dataset import BaseDataset

from poa_mm.datasets.listing import BROKEN_LINK, Listing, count_kinds, first_of, list_images
from poa_mm.errors import printable

if TYPE_CHECKING:
    from mmseg.datasets import BaseSegDataset

KINDS = ('img_path', 'seg_map_path')
IMAGE_SUFFIXES = (
    *('.avif', '.bmp', '.gif', '.heic', '.jfif', '.jp2', '.jpe', '.jpeg', '.jpg', '.pgm', '.png'),
    *('.ppm', '.tif', '.tiff', '.webp'),
)  # whether or not they can be read


class SuffixedFiles:
    """The files below a folder whose names end in a suffix, in any letter case.

    Args:
        folder: Where they lie.
        suffix: What names end in, such as ``'.png'`` or ``'_labelTrainIds.png'``.
        files: Paths of all files below the folder, relative to it. Without them, names are taken to
            be spelt as they are asked for.
    """

    def __init__(self, folder: str, suffix: str, files: Iterable[str] = ()) -> None:
        self.folder = folder
        self.suffix = suffix
        self._files: dict[str, list[str]] = {}
        for file in files:
            if file.lower().endswith(suffix.lower()):
                self._files.setdefault(self._without(file), []).append(file)

    def stems(self) -> list[str]:
        """Return names without the suffix."""
        return list(self._files)

    def stem(self, name: str) -> str:
        """Return a name without the suffix, also if it has none."""
        spelt_out = name not in self._files and name.lower().endswith(self.suffix.lower())
        return self._without(name) if spelt_out else name

    def path(self, stem: str, unique: bool = False) -> str:
        """Return the path of a file: with the exact suffix, or the only one in another case.

        Args:
            stem: Its name without the suffix.
            unique: Refuse several files, even if one of them has the suffix as it was given.

        Raises:
            ValueError: Several files that differ in the case of their suffix alone.
        """
        files = self._files.get(stem, [])
        exact = f'{stem}{self.suffix}'
        if len(files) > 1 and (unique or exact not in files):
            raise ValueError(
                f'{" and ".join(files)} in {self.folder} differ in the letter case of their suffix '
                'alone: keep one of them'
            )
        name = exact if not files or exact in files else files[0]
        return fileio.join_path(self.folder, name)

    def _without(self, name: str) -> str:
        return name[: len(name) - len(self.suffix)]


def load_data_list(dataset: 'BaseSegDataset') -> list[dict]:
    """List images and masks, in place of ``load_data_list`` of mmseg's ``BaseSegDataset``.

    Args:
        dataset: A ``BaseSegDataset``. An ``ann_file`` has the name of an image a line, with or
            without the suffix; without one, all images below the folder count.

    Returns:
        For each image what mmseg's own says: ``img_path``, ``seg_map_path`` (if the data set has a
        folder of masks), ``label_map``, ``reduce_zero_label`` and ``seg_fields``.

    Raises:
        FileNotFoundError: There is no such folder, or no such ``ann_file``.
        ValueError: Files that differ in the letter case of their suffix alone.
    """
    listed = bool(dataset.ann_file) and not Path(dataset.ann_file).is_dir()
    images = _files(dataset, 'img_path', dataset.img_suffix, required=not listed)
    masks = _files(dataset, 'seg_map_path', dataset.seg_map_suffix, required=False)
    assert images is not None
    if listed:
        if not Path(dataset.ann_file).is_file():
            raise FileNotFoundError(f'there is no ann_file {dataset.ann_file}')
        lines = list_from_file(dataset.ann_file, backend_args=dataset.backend_args)
        stems = [images.stem(line.strip()) for line in lines if line.strip()]
    else:
        stems = images.stems()
    data_list = []
    for stem in stems:
        item: dict = {'img_path': images.path(stem, unique=not listed)}
        if masks is not None:
            item['seg_map_path'] = masks.path(stem)
        item['label_map'] = dataset.label_map
        item['reduce_zero_label'] = dataset.reduce_zero_label
        item['seg_fields'] = []
        data_list.append(item)
    return data_list if listed else sorted(data_list, key=lambda item: item['img_path'])


def _files(
    dataset: 'BaseSegDataset', kind: str, suffix: str, required: bool
) -> SuffixedFiles | None:
    """Return the files of one kind; without a list if it cannot be made and is not needed."""
    folder = dataset.data_prefix.get(kind)
    if folder is None and kind == 'seg_map_path':
        return None
    listing = _listed(dataset, kind)
    if listing is None and required:
        raise FileNotFoundError(f'there is no folder {folder} (data_prefix.{kind})')
    return SuffixedFiles(folder or '', suffix, listing.images if listing else [])


def _listed(dataset: BaseDataset, kind: str) -> Listing | None:
    """List all files below a folder of a data set, if there is one.

    Raises:
        ValueError: A folder below it cannot be opened.
    """
    folder = dataset.data_prefix.get(kind)
    if folder is None:
        return None
    try:
        listing = list_images(folder, [''], getattr(dataset, 'backend_args', None))
    except FileNotFoundError:
        return None
    if listing.closed:
        raise ValueError(listing.closed_folders)
    return listing


def left_out(
    dataset: BaseDataset, items: Sequence[Mapping], with_masks: bool = True
) -> list[tuple[int, str]]:
    """Describe the files in the folders of a data set that are not part of it.

    Args:
        dataset: A data set with ``data_prefix``, ``img_suffix`` and ``seg_map_suffix``, as mmseg's
            have them. One that has chosen from its folder by ``ann_file`` or ``indices`` leaves out
            nothing that was not meant to be.
        items: Its images, each with ``img_path`` and perhaps ``seg_map_path``.
        with_masks: Whether it reads masks.

    Returns:
        A level of :mod:`logging` and a sentence for each kind of file.
    """
    img_suffix = getattr(dataset, 'img_suffix', None)
    mask_suffix = getattr(dataset, 'seg_map_suffix', None)
    if img_suffix is None or mask_suffix is None or _has_chosen(dataset):
        return []
    image_folder, mask_folder = (dataset.data_prefix.get(kind) for kind in KINDS)
    images = unused_files(dataset, 'img_path', items)
    masks = unused_files(dataset, 'seg_map_path', items) if with_masks else []
    missed = [path for path in images if path.lower().endswith(IMAGE_SUFFIXES)]
    single = [path for path in masks if path.lower().endswith(mask_suffix.lower())]
    notes = []
    if missed:
        notes.append(
            f'{image_folder} holds images that are left out, as their names do not end in '
            f'{img_suffix}: {len(missed)} ({count_kinds(missed)}), the first {printable(missed[0])}'
        )
    if single and mask_folder != image_folder:
        notes.append(
            f'{mask_folder} holds masks that are left out, as they have no image: {len(single)}, '
            f'the first {printable(single[0])}'
        )
    listing = _listed(dataset, 'img_path')
    if listing is not None and listing.ignored[BROKEN_LINK]:
        notes.append(f'{image_folder} holds broken links: {listing.ignored[BROKEN_LINK]}')
    if listing is not None and listing.repeated:
        links = first_of(listing.repeated)
        notes.append(f'{image_folder} holds links to folders that are read already: {links}')
    found = [(logging.WARNING, note) for note in notes]
    others = {*images, *masks} - {*missed, *single}
    if others:
        note = f'beside images and masks there are other files: {len(others)}'
        found.append((logging.INFO, f'{note} ({count_kinds(others)})'))
    return found


def _has_chosen(dataset: BaseDataset) -> bool:
    listed = Path(getattr(dataset, 'ann_file', None) or '').is_file()
    return listed or getattr(dataset, '_indices', None) is not None


def unused_files(dataset: BaseDataset, kind: str, items: Sequence[Mapping]) -> list[str]:
    """Return files below a folder of a data set that are neither image nor mask of a sample.

    Args:
        dataset: With a ``data_prefix``.
        kind: Key of the folder in there.
        items: The images, each with ``img_path`` and perhaps ``seg_map_path``.
    """
    listing = _listed(dataset, kind)
    if listing is None:  # the data set has done without it, too
        return []
    used = {Path(item[key]) for item in items for key in KINDS if key in item}
    paths = [listing.path(file) for file in listing.images]
    return [path for path in paths if Path(path) not in used]
