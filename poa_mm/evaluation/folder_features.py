"""Features of all images in a folder, as arrays that any other tool can read."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from rich.progress import track
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from poa_mm.checkpoints.preprocessing import Preprocessing
from poa_mm.datasets.images import UnreadableImageError, middle_of, read_image
from poa_mm.datasets.listing import list_images
from poa_mm.datasets.notes import FileNotes
from poa_mm.errors import printable

Item = tuple[int, Tensor | None, str]  # row, image or None, reason why it is None


@dataclass(frozen=True)
class FolderFeatures:
    """Features of the readable images below a folder, in the order of their paths.

    Attributes:
        features: float32 (N, D).
        paths: Relative to the folder, (N,).
        classes: Names of the sub-folders directly below the folder, with or without readable
            images, if every image lies in one.
        labels: Row in ``classes`` of each image, int64 (N,), or ``None``.
        unreadable: Why images were left out, a line each.
    """

    features: np.ndarray
    paths: list[str]
    classes: list[str]
    labels: np.ndarray | None
    unreadable: list[str]

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the arrays of a file: ``features``, ``paths`` and, if known, the classes."""
        arrays = {'features': self.features, 'paths': np.array(self.paths)}
        if self.labels is not None:
            arrays.update(labels=self.labels, classes=np.array(self.classes))
        return arrays


def folder_features(
    net: nn.Module,
    folder: str | PathLike,
    preprocessing: Preprocessing,
    batch_size: int = 64,
    num_workers: int = 0,
    progress: bool = False,
) -> FolderFeatures:
    """Run a stock backbone over all images below a folder.

    Args:
        net: Backbone in evaluation mode, on the device to run on. The feature is its last output:
            a class token (B, D) as it is, a map (B, D, h, w) averaged, of tokens (B, N, D) the
            class token.
        folder: Images, flat or nested to any depth.
        preprocessing: Size, crop and normalisation that the network expects.
        batch_size: Images per batch.
        num_workers: Processes that read images.
        progress: Show a progress bar.

    Raises:
        FileNotFoundError: There is no such folder.
        ValueError: No image in it can be read, images are not read with that number of channels,
            or the backbone gives tokens without a class token.
    """
    listing = list_images(str(Path(folder).expanduser()))
    listing.report()
    paths = [listing.path(image) for image in listing.images]
    loader: DataLoader = DataLoader(
        FolderImages(paths, preprocessing), batch_size, num_workers=num_workers, collate_fn=list
    )
    device = next(net.parameters()).device
    rows: list[int] = []
    features, unreadable = [], []
    for items in track(loader, 'images', disable=not progress):
        unreadable += [reason for _, image, reason in items if image is None]
        readable = [(row, image) for row, image, _ in items if image is not None]
        if readable:
            rows += [row for row, _ in readable]
            images = torch.stack([image for _, image in readable]).to(device)
            with torch.inference_mode():
                features.append(pooled(net, images).float().cpu().numpy())
    if not features:
        raise ValueError(f'none of the {len(paths)} images in {printable(folder)} can be read')
    readable_paths = [listing.images[row] for row in rows]
    labels = _labels(readable_paths, listing.folders)
    return FolderFeatures(
        np.concatenate(features),
        readable_paths,
        [] if labels is None else listing.folders,
        labels,
        unreadable,
    )


def pooled(net: nn.Module, images: Tensor) -> Tensor:
    """Compute one feature (B, D) for each image (B, C, H, W) with a stock backbone of mmpretrain.

    Raises:
        ValueError: The backbone gives tokens and has no class token.
    """
    out = net(images)[-1]
    if out.ndim == 4:
        return out.mean(dim=(2, 3))
    # Without a class token it is not known which axis the tokens are.
    if out.ndim == 3 and getattr(net, 'cls_token', None) is None:
        raise ValueError(
            f'{type(net).__name__} gives {tuple(out.shape)} and has no class token, so it is not '
            'clear what its feature is'
        )
    return out if out.ndim == 2 else out[:, 0]


class FolderImages(Dataset):
    """Images as network inputs; in place of an unreadable one, the reason."""

    def __init__(self, paths: Sequence[str], preprocessing: Preprocessing) -> None:
        self.paths = paths
        self.notes = FileNotes()
        self.transform: Callable[[Image.Image], Tensor] = preprocessing.transform()

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, row: int) -> Item:
        try:
            image = read_image(self.paths[row], self.notes)
        except UnreadableImageError as error:
            return row, None, str(error)
        rgb = Image.fromarray(middle_of(image, self.paths[row], self.notes)[..., ::-1].copy())
        return row, self.transform(rgb), ''


def _labels(images: Sequence[str], classes: Sequence[str]) -> np.ndarray | None:
    """Return the class index of each image's folder, or ``None`` if an image lies in no folder."""
    if not all('/' in image for image in images):
        return None
    rows = {name: row for row, name in enumerate(classes)}
    return np.array([rows[image.split('/', 1)[0]] for image in images], dtype=np.int64)
