"""Images with masks, in two folders, for dense k-NN."""

import hashlib
import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from mmengine.logging import print_log
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from poa_mm.checkpoints.preprocessing import Preprocessing
from poa_mm.datasets.images import read_image
from poa_mm.datasets.listing import first_of, list_images
from poa_mm.errors import InputError, printable
from poa_mm.evaluation.knn.dense import IGNORED
from poa_mm.segmentation.masks import MaskError, read_mask

__all__ = ['MaskedImages', 'label_numbers', 'pair_masks']

Pair = tuple[str, str]  # paths of an image and its mask


def pair_masks(images: str | Path, masks: str | Path) -> list[Pair]:
    """Pair images and masks, which have the same names but for their endings.

    Args:
        images: Folder of images, flat or nested. Those without a mask are left out, with a warning.
        masks: Folder of masks, likewise. Masks without an image are left out.

    Returns:
        Paths of image and mask, in the order of the images.

    Raises:
        FileNotFoundError: There is no such folder.
        ValueError: No image has a mask, or two files have one name.
    """
    listings = [list_images(str(Path(folder).expanduser())) for folder in (images, masks)]
    for listing in listings:
        listing.report()
    by_stem = []
    for listing in listings:
        stems = [str(PurePosixPath(name).with_suffix('')) for name in listing.images]
        twice = [stem for stem, count in Counter(stems).items() if count > 1]
        if twice:
            raise ValueError(f'{printable(listing.root)} has several files {first_of(twice)}')
        by_stem.append(dict(zip(stems, map(listing.path, listing.images), strict=True)))
    of_images, of_masks = by_stem
    missing = [stem for stem in of_images if stem not in of_masks]
    lack = f'{printable(masks)} has no masks for {len(missing)} of {len(of_images)} images'
    if len(missing) == len(of_images):
        raise ValueError(f'{lack}: their names must be the same but for the endings')
    if missing:
        text = f'{lack}, which are left out: {first_of(missing)}'
        print_log(text, logger='current', level=logging.WARNING)
    return [(path, of_masks[stem]) for stem, path in of_images.items() if stem in of_masks]


def label_numbers(pairs: Iterable[Pair], ignored: Sequence[int]) -> Tensor:
    """Read all masks, and number the labels that they hold.

    Args:
        pairs: Of :func:`pair_masks`.
        ignored: Labels of pixels that do not count.

    Returns:
        The class of each label, int64 (256,): 0, 1, … in the order of the labels, and
        :data:`~poa_mm.evaluation.knn.dense.IGNORED` for those that do not count or do not occur.

    Raises:
        InputError: A mask cannot be read, has another size than its image, or is none.
        ValueError: There are fewer than two classes.
    """
    counts = np.zeros(256, dtype=np.int64)
    for image, path in pairs:
        try:
            mask = read_mask(path, 'pillow')
        except MaskError as error:
            raise InputError(f'{printable(path)}: masks {error.kind}{error.detail}') from error
        with Image.open(image) as opened:
            size = _upright(opened)
        if mask.shape != size:
            raise InputError(
                f'{printable(path)} has {" × ".join(map(str, mask.shape))} pixels, its image '
                f'{size[0]} × {size[1]}'
            )
        if mask.lossy:
            raise InputError(f'{printable(path)} is a JPEG, whose compression changes labels')
        counts += mask.counts
    counts[list(ignored)] = 0
    found = np.flatnonzero(counts)
    if len(found) < 2:
        raise ValueError(
            f'the masks hold {len(found)} classes beside the ignored labels {list(ignored)}: '
            'segmentation needs two or more'
        )
    if len(found) > IGNORED:
        raise ValueError(f'the masks hold {len(found)} classes: {IGNORED} at most')
    numbers = torch.full((256,), IGNORED, dtype=torch.int64)
    numbers[found] = torch.arange(len(found))
    return numbers


def _upright(image: Image.Image) -> tuple[int, int]:
    """Return height and width of an image as it is seen."""
    turned = image.getexif().get(0x0112, 1) >= 5
    return (image.width, image.height) if turned else (image.height, image.width)


@dataclass(frozen=True)
class MaskedImages(Dataset):
    """Images as network inputs, with the classes of their pixels.

    An image is squeezed to the size that the network expects, so that all of it is seen; its mask
    stays as large as the file.

    Args:
        pairs: Of :func:`pair_masks`.
        preprocessing: Size and normalisation that the networks expect.
        numbers: Of :func:`label_numbers`.
    """

    pairs: Sequence[Pair]
    preprocessing: Preprocessing
    numbers: Tensor

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """Return an image (C, H, W), normalised, and the classes of its pixels, int64 (h, w)."""
        image_path, mask_path = self.pairs[index]
        expected = self.preprocessing
        array = read_image(image_path)[..., ::-1]
        height, width = expected.image_size
        image = Image.fromarray(np.ascontiguousarray(array)).convert(expected.mode)
        image = image.resize((width, height), Image.Resampling[expected.interpolation.upper()])
        pixels = torch.from_numpy(np.array(image, dtype=np.float32))
        pixels = pixels.view(height, width, -1).permute(2, 0, 1)
        mean, std = (
            torch.tensor(values)[:, None, None] for values in (expected.mean, expected.std)
        )
        with Image.open(mask_path) as mask:
            labels = torch.from_numpy(np.array(mask).astype(np.int64))
        return (pixels - mean) / std, self.numbers[labels]

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return int((self.numbers != IGNORED).sum())

    @property
    def name(self) -> str:
        """Name in results: the last two folders of the images."""
        return '/'.join(Path(self.pairs[0][0]).parent.parts[-2:])

    @property
    def sha256(self) -> str:
        """What tells data sets apart: names and sizes of all files, and the classes of labels."""
        digest = hashlib.sha256(self.numbers.numpy().tobytes())
        for path in (path for pair in self.pairs for path in pair):
            name = '/'.join(Path(path).parts[-2:])
            digest.update(f'{name} {Path(path).stat().st_size}'.encode('utf-8', 'surrogateescape'))
        return digest.hexdigest()
