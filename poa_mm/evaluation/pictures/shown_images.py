"""Images as networks see them, for pictures: read, resized and normalised, whole if possible."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor
from torchvision.transforms import functional

from poa_mm.checkpoints.preprocessing import ImageSize, Preprocessing
from poa_mm.datasets.images import UnreadableImageError, middle_of, read_image
from poa_mm.datasets.listing import list_images
from poa_mm.datasets.notes import FileNotes
from poa_mm.evaluation.networks.measured import Measured

__all__ = ['Frame', 'ShownImage', 'image_paths', 'read_photo', 'shown_images']


@dataclass(frozen=True)
class ShownImage:
    """An image that a network sees.

    Args:
        path: Its file.
        pixels: What is left of it, (H, W, 3) uint8, RGB.
        inputs: The same, normalised for the network, (1, C, H, W).
    """

    path: str
    pixels: np.ndarray
    inputs: Tensor

    @property
    def name(self) -> str:
        """Name of the file."""
        return Path(self.path).name


@dataclass(frozen=True)
class Frame:
    """How images are cut for a network.

    Args:
        preprocessing: Their size and normalisation.
        step: Height and width of a patch in pixels; sides of images are multiples of it.
        whole: Keep the shape of each image, with the shorter side of the network's images; else all
            of them have the size of the network's images.
    """

    preprocessing: Preprocessing
    step: tuple[int, int]
    whole: bool

    @classmethod
    def of(cls, measured: Measured) -> 'Frame':
        """Find out how images are to be cut, with blank ones.

        Networks that take images of one size alone (most ViTs of timm, exports) get images of that
        size.

        Raises:
            ValueError: The network takes neither RGB nor grey images.
        """
        preprocessing = measured.preprocessing
        assert preprocessing.mode  # or raises
        size = preprocessing.image_size
        grid = _grid(measured, size)
        step = (-(-size[0] // grid[0]), -(-size[1] // grid[1]))
        try:
            _grid(measured, (size[0] + step[0], size[1] + 2 * step[1]))
        except Exception:  # each library refuses other sizes in its own way
            return cls(preprocessing, step, whole=False)
        return cls(preprocessing, step, whole=True)

    def size_of(self, height: int, width: int) -> ImageSize:
        """Return the height and width to which an image is resized and cut.

        Example:
            >>> Frame(Preprocessing((48, 48)), (8, 8), whole=True).size_of(300, 400)
            (48, 64)
        """
        if not self.whole:
            return self.preprocessing.image_size
        scale = min(self.preprocessing.image_size) / min(height, width)
        rows, columns = (
            max(round(side * scale / step), 1)
            for side, step in zip((height, width), self.step, strict=True)
        )
        return rows * self.step[0], columns * self.step[1]

    def show(self, photo: Image.Image, path: str) -> ShownImage:
        """Resize and cut a photograph, RGB, and normalise it."""
        height, width = self.size_of(photo.height, photo.width)
        method = getattr(Image.Resampling, self.preprocessing.interpolation.upper())
        photo = ImageOps.fit(photo, (width, height), method)
        photo = photo.convert(self.preprocessing.mode)
        return ShownImage(path, np.asarray(photo.convert('RGB')), self.inputs(photo))

    def inputs(self, photo: Image.Image) -> Tensor:
        """Normalise an image of the network's mode: (1, C, H, W)."""
        preprocessing = self.preprocessing
        tensor = functional.to_tensor(photo)
        return functional.normalize(tensor, preprocessing.unit_mean, preprocessing.unit_std)[None]


def _grid(measured: Measured, size: ImageSize) -> tuple[int, int]:
    blank = torch.zeros(1, measured.preprocessing.channels, *size)
    ((_, tokens),) = measured.tokens(blank, measured.networks[:1])
    return tokens.grid


def image_paths(paths: Iterable[str | Path]) -> list[str]:
    """List images: files as they are given, and all images below folders.

    Raises:
        FileNotFoundError: Nothing is there.
        ValueError: A folder without images.
    """
    found = []
    for path in (Path(path).expanduser() for path in paths):
        if path.is_dir():
            listing = list_images(str(path))
            listing.report()
            found += [listing.path(image) for image in listing.images]
        elif path.exists():
            found.append(str(path))
        else:
            raise FileNotFoundError(f'no image or folder at {path}')
    return found


def read_photo(path: str, notes: FileNotes) -> Image.Image:
    """Read an image file as RGB; of an extremely long one its middle.

    Raises:
        UnreadableImageError: It holds no complete image.
    """
    bgr = middle_of(read_image(path, notes), path, notes)
    return Image.fromarray(np.ascontiguousarray(bgr[..., ::-1]))


def shown_images(paths: Sequence[str], frame: Frame) -> tuple[list[ShownImage], list[str]]:
    """Read images for a picture.

    Args:
        paths: Their files.
        frame: How they are cut.

    Returns:
        The readable ones in order, and why others are left out, a line each.

    Raises:
        ValueError: None can be read.
    """
    notes = FileNotes()
    images, reasons = [], []
    for path in paths:
        try:
            images.append(frame.show(read_photo(path, notes), path))
        except UnreadableImageError as error:
            reasons.append(str(error))
    if not images:
        more = f' (none of {len(reasons)} images can be read)' if len(reasons) > 1 else ''
        raise ValueError(f'{reasons[0]}{more}' if reasons else 'no image is given')
    return images, reasons
