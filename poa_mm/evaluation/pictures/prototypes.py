"""Images and patches that prototypes of a projection head attract (as the paper's Fig. 11)."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from poa_mm.checkpoints.preprocessing import Preprocessing
from poa_mm.evaluation.networks.measured import Measured, Network
from poa_mm.evaluation.pictures.folder_batches import Folder, drawn_crop, readable_batches
from poa_mm.models.heads.projection_head import ProjectionHead
from poa_mm.visualization.galleries import GalleryRow, Tile

__all__ = ['Attracted', 'attracted', 'gallery_of_prototypes']

CHUNK = 2**22  # similarities with all prototypes at once


@dataclass(frozen=True)
class Attracted:
    """An image, or the best patch of one, near a prototype.

    Args:
        prototype: Number of the prototype, from 0.
        images: How many images are nearer to it than to all others.
        kind: ``'image'`` or ``'patch'``.
        rank: From 1, the nearest.
        path: File of the image.
        similarity: Cosine similarity of what the head makes of it with the prototype.
        box: Part of the network's crop that the patch covers: left, top, right and bottom as
            shares; of an image all of it.
    """

    prototype: int
    images: int
    kind: str
    rank: int
    path: str
    similarity: float
    box: tuple[float, float, float, float]

    def cells(self) -> dict[str, object]:
        """Return the cells of a table by column."""
        sides = zip(('left', 'top', 'right', 'bottom'), self.box, strict=True)
        return {
            'prototype': self.prototype,
            'images_assigned': self.images,
            'kind': self.kind,
            'rank': self.rank,
            'path': self.path,
            'similarity': f'{self.similarity:.6f}',
            **{side: f'{share:.4f}' for side, share in sides},
        }


def attracted(
    measured: Measured,
    network: Network,
    head: ProjectionHead,
    folder: Folder,
    prototypes: Sequence[int] | None = None,
    number: int = 6,
    top: int = 6,
    batch_size: int = 64,
    workers: int = 0,
) -> tuple[list[Attracted], list[str]]:
    """Find the images, and the patches of different images, that are nearest to prototypes.

    Args:
        measured: Networks.
        network: One of them.
        head: Projection head that was trained with it.
        folder: Where to look.
        prototypes: Their numbers; by default those that most images are assigned to.
        number: How many prototypes, by default.
        top: How many images and how many patches for each.
        batch_size: Images per batch.
        workers: Processes that read.

    Returns:
        What they attract, prototype by prototype: images, then patches, the nearest first; why
        images are left out.

    Raises:
        ValueError: No image can be read, or a prototype that the head does not have.
    """
    weight = head.prototypes.weight().detach()
    wrong = [one for one in prototypes or () if not 0 <= one < len(weight)]
    if wrong:
        raise ValueError(f'the head has the prototypes 0…{len(weight) - 1}, not {wrong[0]}')
    reasons: list[str] = []
    rows: list[int] = []
    parts = []
    about = (measured.preprocessing, batch_size, workers)
    head = head.to(measured.device)
    for batch, images in readable_batches(folder.paths, *about, 'images', reasons):
        ((_, tokens),) = measured.tokens(images, [network])
        with torch.no_grad():
            parts.append(head.embed(tokens.cls.float()).cpu())
        rows += batch
    if not rows:
        raise ValueError(reasons[0])
    embedded = torch.cat(parts)
    counts = assigned(embedded, weight).bincount(minlength=len(weight))
    used = int((counts > 0).sum())
    most = counts.sort(descending=True, stable=True).indices[: min(number, used)]
    chosen = torch.tensor(prototypes) if prototypes else most
    unit = F.normalize(weight[chosen], dim=1)
    best = _best_patches(measured, network, head, folder, unit, about)
    found = []
    paths = [folder.paths[row] for row in rows]
    for place, prototype in enumerate(chosen.tolist()):
        count = int(counts[prototype])
        values = (embedded @ unit[place]).double(), best.similarity[:, place]
        for kind, similarity in zip(('image', 'patch'), values, strict=True):
            order = similarity.sort(descending=True, stable=True).indices[:top].tolist()
            for rank, row in enumerate(order, start=1):
                patch = int(best.patches[row, place])
                box = (0.0, 0.0, 1.0, 1.0) if kind == 'image' else _box(patch, best.grid)
                value = float(similarity[row])
                found.append(Attracted(prototype, count, kind, rank, paths[row], value, box))
    return found, reasons


def assigned(embedded: Tensor, weight: Tensor) -> Tensor:
    """Return the prototype with the largest logit of each embedded image, (N,).

    Args:
        embedded: L2-normalised bottleneck, (N, d).
        weight: Prototypes, (K, d).
    """
    rows = max(1, CHUNK // len(weight))
    return torch.cat([(part @ weight.T).argmax(dim=1) for part in embedded.split(rows)])


class _BestPatches(NamedTuple):
    """The patch of each of N images that is nearest to each of P prototypes.

    Attributes:
        similarity: Its cosine similarity, float64 (N, P).
        patches: Its number, row by row, (N, P).
        grid: Rows and columns of patches.
    """

    similarity: Tensor
    patches: Tensor
    grid: tuple[int, int]


def _best_patches(
    measured: Measured,
    network: Network,
    head: ProjectionHead,
    folder: Folder,
    unit: Tensor,
    about: tuple[Preprocessing, int, int],
) -> _BestPatches:
    """Find the patch of each readable image that is nearest to each prototype."""
    values, indices = [], []
    grid = (1, 1)
    directions = unit.to(measured.device)
    for _, images in readable_batches(folder.paths, *about, 'patches', []):
        ((_, tokens),) = measured.tokens(images, [network])
        with torch.no_grad():
            near = (head.embed(tokens.patches.float()) @ directions.T).max(dim=1)
        values.append(near.values.double().cpu())
        indices.append(near.indices.cpu())
        grid = tokens.grid
    return _BestPatches(torch.cat(values), torch.cat(indices), grid)


def _box(patch: int, grid: tuple[int, int]) -> tuple[float, float, float, float]:
    row, column = divmod(patch, grid[1])
    return column / grid[1], row / grid[0], (column + 1) / grid[1], (row + 1) / grid[0]


def gallery_of_prototypes(
    measured: Measured, found: Sequence[Attracted], folder: Folder
) -> list[GalleryRow]:
    """Lay out what prototypes attract, a row for each: images, then patches in their images."""
    rows = []
    for prototype in dict.fromkeys(one.prototype for one in found):
        own = [one for one in found if one.prototype == prototype]
        tiles = [
            Tile(
                drawn_crop(one.path, measured.preprocessing),
                f'{one.similarity:.2f} {folder.class_of(one.path) or Path(one.path).name}',
                box=None if one.kind == 'image' else one.box,
            )
            for one in own
        ]
        label = f'prototype\n{prototype}\n{own[0].images} images'
        rows.append(GalleryRow(label, tiles))
    return rows
