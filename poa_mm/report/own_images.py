"""What sub-networks of different sizes make of the user's own images."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from poa_mm.checkpoints.preprocessing import Preprocessing
from poa_mm.datasets.images import middle_of, read_image
from poa_mm.datasets.notes import FileNotes
from poa_mm.evaluation.folder_features import FolderFeatures, folder_features
from poa_mm.evaluation.knn.neighbours import nearest_neighbours
from poa_mm.export.network import image_size_argument
from poa_mm.models.backbones import ElasticBackbone
from poa_mm.report.networks import NetworkPoint

__all__ = ['Gallery', 'Tile', 'data_url', 'images_folder', 'make_gallery', 'sized_features']

SIZES = 3  # from the smallest to the largest sub-network
QUERIES = 6
NEIGHBOURS = 5
SIDE = 72  # pixels of a picture
QUALITY = 80  # of JPEG


@dataclass(frozen=True)
class Tile:
    """A small picture.

    Args:
        url: The picture itself, as a data URL.
        caption: Where it is from.
        same: Whether it has the class of the query; None where classes are not known.
    """

    url: str
    caption: str
    same: bool | None = None


@dataclass(frozen=True)
class Gallery:
    """Images and their nearest neighbours, by sub-network.

    Args:
        networks: The sub-networks, from small to large.
        rows: Each query with the neighbours that each network finds, the nearest first.
    """

    networks: Sequence[NetworkPoint]
    rows: Sequence[tuple[Tile, Sequence[Sequence[Tile]]]]


def images_folder(data: Path) -> Path:
    """Return the folder of images to show: ``val`` within it, if it has ``train`` and ``val``."""
    return data / 'val' if is_split(data) else data


def is_split(data: Path) -> bool:
    """Tell whether a folder has images to learn from, ``train``, and to test with, ``val``."""
    return all((data / part).is_dir() for part in ('train', 'val'))


def sized_features(
    backbone: ElasticBackbone,
    points: Sequence[NetworkPoint],
    folder: Path,
    preprocessing: Preprocessing,
    device: torch.device,
    num_workers: int = 0,
) -> dict[str, FolderFeatures]:
    """Compute the features of all images in a folder by sub-networks of different sizes.

    Args:
        backbone: Elastic backbone.
        points: All sub-networks, from small to large; :data:`SIZES` of them are taken, evenly.
        folder: Images, flat or nested.
        preprocessing: What the networks expect of images.
        device: Where to compute.
        num_workers: Processes that read images.

    Returns:
        Features by sub-network, from small to large.

    Raises:
        FileNotFoundError: There is no such folder.
        ValueError: As :func:`~poa_mm.evaluation.folder_features.folder_features`.
    """
    count = min(SIZES, len(points))
    chosen = [points[n * (len(points) - 1) // max(1, count - 1)] for n in range(count)]
    features = {}
    for point in chosen:
        subnet = backbone.space[point.subnet]
        size = image_size_argument(backbone, subnet, preprocessing.image_size)
        net = backbone.extract(subnet, **size).to(device)
        net.eval()  # that of mmpretrain returns nothing
        features[point.subnet] = folder_features(
            net, folder, preprocessing, num_workers=num_workers, progress=True
        )
    return features


def make_gallery(
    features: dict[str, FolderFeatures], points: Sequence[NetworkPoint], folder: Path
) -> Gallery:
    """Find the nearest neighbours of a few images among all others, by cosine similarity.

    Args:
        features: Of :func:`sized_features`.
        points: All sub-networks.
        folder: Where the images lie.
    """
    first = next(iter(features.values()))
    total = len(first.paths)
    queries = [n * total // min(QUERIES, total) for n in range(min(QUERIES, total))]
    tiles: dict[int, str] = {}

    def tile(row: int, query: int | None = None) -> Tile:
        tiles.setdefault(row, data_url(small_jpeg(folder / first.paths[row])))
        labels = first.labels
        same = None if query is None or labels is None else bool(labels[row] == labels[query])
        return Tile(tiles[row], first.paths[row], same)

    found = {
        name: neighbours_of(one.features, queries, min(NEIGHBOURS, total - 1))[1]
        for name, one in features.items()
    }
    rows = [
        (tile(query), [[tile(int(row), query) for row in found[name][n]] for name in features])
        for n, query in enumerate(queries)
    ]
    return Gallery([point for point in points if point.subnet in features], rows)


def neighbours_of(
    features: np.ndarray, queries: Sequence[int], count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Find each query's nearest neighbours but for itself.

    Args:
        features: (N, D).
        queries: Rows of it.
        count: Neighbours of each, at most N - 1.

    Returns:
        Cosine similarities and rows, (len(queries), count) each, the most similar first.
    """
    bank = torch.from_numpy(features)
    values, rows = nearest_neighbours(bank, bank[list(queries)], count + 1)
    # Of equal features, the query itself need not come first.
    self_rank = rows == torch.tensor(list(queries))[:, None]
    self_rank[~self_rank.any(dim=1), -1] = True
    keep = ~self_rank
    shape = (len(queries), count)
    return values[keep].reshape(shape).numpy(), rows[keep].reshape(shape).numpy()


def small_jpeg(path: Path, side: int = SIDE) -> bytes:
    """Shrink an image to a square of its middle."""
    notes = FileNotes()
    pixels = middle_of(read_image(str(path), notes), str(path), notes)[..., ::-1].copy()
    image = Image.fromarray(pixels)
    edge = min(image.size)
    left, top = ((length - edge) // 2 for length in image.size)
    square = image.crop((left, top, left + edge, top + edge))
    file = io.BytesIO()
    square.resize((side, side), Image.Resampling.LANCZOS).save(file, 'JPEG', quality=QUALITY)
    return file.getvalue()


def data_url(content: bytes, kind: str = 'jpeg') -> str:
    """Write the content of an image file as a URL that needs no network."""
    return f'data:image/{kind};base64,{base64.b64encode(content).decode()}'
