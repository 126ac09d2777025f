"""Images below a folder as batches for networks, and as they are drawn."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from rich.progress import track
from torch import Tensor
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.transforms import InterpolationMode

from poa_mm.checkpoints.preprocessing import Preprocessing
from poa_mm.datasets.listing import list_images
from poa_mm.datasets.notes import FileNotes
from poa_mm.evaluation.folder_features import FolderImages
from poa_mm.evaluation.pictures.shown_images import read_photo

__all__ = ['Folder', 'drawn_crop', 'readable_batches']

DRAWN = 128  # pixels of the shorter side of a small image, at least


@dataclass(frozen=True)
class Folder:
    """The images below a folder.

    Args:
        paths: Of the images.
        classes: Names of the folders directly below it.
    """

    paths: Sequence[str]
    classes: frozenset[str]

    @classmethod
    def open(cls, folder: str | Path) -> 'Folder':
        """List the images below a folder.

        Raises:
            ValueError: There is none.
        """
        listing = list_images(str(Path(folder).expanduser()))
        listing.report()
        paths = [listing.path(image) for image in listing.images]
        return cls(paths, frozenset(listing.folders))

    def class_of(self, path: str) -> str:
        """Return the class folder that an image lies in, here or elsewhere, or ''.

        Example:
            >>> folder = Folder([], frozenset(['cat', 'dog']))
            >>> folder.class_of('val/cat/1.jpg'), folder.class_of('1.jpg')
            ('cat', '')
        """
        above = reversed(Path(path).parent.parts)
        return next((part for part in above if part in self.classes), '')


def readable_batches(
    paths: Sequence[str],
    preprocessing: Preprocessing,
    batch_size: int,
    workers: int,
    text: str,
    reasons: list[str],
) -> Iterator[tuple[list[int], Tensor]]:
    """Read images in batches, with a progress bar.

    Args:
        paths: Their files.
        preprocessing: Size, crop and normalisation.
        batch_size: Images per batch.
        workers: Processes that read.
        text: Beside the progress bar.
        reasons: Gets a line for each image that is left out.

    Yields:
        Rows of ``paths`` and inputs (B, C, H, W) of the readable images of a batch, if there are
        any.
    """
    images = FolderImages(paths, preprocessing)
    loader: DataLoader = DataLoader(images, batch_size, num_workers=workers, collate_fn=list)
    for items in track(loader, text, transient=True):
        reasons += [reason for _, image, reason in items if image is None]
        readable = [(row, image) for row, image, _ in items if image is not None]
        if readable:
            yield [row for row, _ in readable], torch.stack([image for _, image in readable])


def drawn_crop(path: str, preprocessing: Preprocessing) -> np.ndarray:
    """Read the part of an image that a network sees, (H, W, 3) uint8, large enough to be drawn.

    Raises:
        UnreadableImageError: The file holds no complete image.
    """
    height, width = preprocessing.image_size
    factor = -(-DRAWN // min(height, width))
    larger = replace(preprocessing, image_size=(factor * height, factor * width))
    crop = transforms.Compose(
        [
            transforms.Resize(larger.resized_to, InterpolationMode(larger.interpolation)),
            transforms.CenterCrop(larger.image_size),
        ]
    )
    return np.asarray(crop(read_photo(path, FileNotes())))
