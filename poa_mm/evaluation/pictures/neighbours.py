"""Nearest neighbours of one image in a folder, for several networks at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from poa_mm.evaluation.knn.neighbours import nearest_neighbours
from poa_mm.evaluation.networks.measured import Measured, Network
from poa_mm.evaluation.pictures.folder_batches import Folder, drawn_crop, readable_batches
from poa_mm.visualization.galleries import GalleryRow, Tile

__all__ = ['Neighbour', 'find_neighbours', 'gallery_of_neighbours']


@dataclass(frozen=True)
class Neighbour:
    """A neighbour of the query.

    Args:
        network: Network to which it is near.
        rank: From 1, the nearest.
        path: Its file.
        similarity: Cosine similarity of the features.
        label: Its class, or ''.
        same: Whether that is the class of the query; None where one of them is not known.
    """

    network: str
    rank: int
    path: str
    similarity: float
    label: str
    same: bool | None

    def cells(self) -> dict[str, object]:
        """Return the cells of a table by column."""
        return {
            'network': self.network,
            'rank': self.rank,
            'path': self.path,
            'similarity': f'{self.similarity:.6f}',
            'class': self.label,
            'same_class': '' if self.same is None else int(self.same),
        }


def find_neighbours(
    measured: Measured,
    networks: Sequence[Network],
    query: str,
    folder: Folder,
    k: int,
    batch_size: int = 64,
    workers: int = 0,
) -> tuple[list[Neighbour], list[str]]:
    """Find the images of a folder that are most similar to a query by cosine similarity.

    Args:
        measured: Networks; images are prepared as they expect them.
        networks: Those to ask.
        query: File of an image, which is never its own neighbour.
        folder: Where to look.
        k: Number of neighbours.
        batch_size: Images per batch.
        workers: Processes that read.

    Returns:
        The neighbours, network by network, the nearest first; why images are left out.

    Raises:
        ValueError: The query cannot be read, or there are fewer than k images.
    """
    own = Path(query).resolve()
    others = [path for path in folder.paths if Path(path).resolve() != own]
    reasons: list[str] = []
    rows: list[int] = []
    features: dict[str, list[Tensor]] = {network.name: [] for network in networks}
    together = [query, *others]
    for batch, images in readable_batches(
        together, measured.preprocessing, batch_size, workers, 'images', reasons
    ):
        rows += batch
        for network, tokens in measured.tokens(images, networks):
            features[network.name].append(tokens.cls.float().cpu())
    if 0 not in rows:
        raise ValueError(reasons[0])
    if len(rows) - 1 < k:
        raise ValueError(f'there are {len(rows) - 1} other images, fewer than --k {k}')
    own_class = folder.class_of(query)
    found = []
    for network in networks:
        every = torch.cat(features[network.name])
        similarity, nearest = nearest_neighbours(every[1:], every[:1], k)
        for rank, (place, value) in enumerate(zip(nearest[0], similarity[0], strict=True), start=1):
            path = together[rows[int(place) + 1]]
            label = folder.class_of(path)
            same = label == own_class if label and own_class else None
            found.append(Neighbour(network.name, rank, path, float(value), label, same))
    return found, reasons


def gallery_of_neighbours(
    measured: Measured, networks: Sequence[Network], query: str, found: Sequence[Neighbour]
) -> list[GalleryRow]:
    """Lay neighbours out, a row for each network that begins with the query."""
    first = Tile(drawn_crop(query, measured.preprocessing), Path(query).name)
    rows = []
    for network in networks:
        tiles = [
            Tile(
                drawn_crop(one.path, measured.preprocessing),
                f'{one.similarity:.3f} {one.label or Path(one.path).name}',
                one.same,
            )
            for one in found
            if one.network == network.name
        ]
        name = f'{network.name}\n{network.known_as}'.strip()
        rows.append(GalleryRow(f'{name}\n{network.params / 1e6:.3g} M', [first, *tiles]))
    return rows
