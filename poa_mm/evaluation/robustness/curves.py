"""Accuracy on images with dropped or shuffled patches, for many networks at once (paper Fig. 5)."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from random import Random
from typing import NamedTuple

import torch
from torch import Tensor

from poa_mm.evaluation.robustness.changes import (
    DROPPED_TENTHS,
    SHUFFLE_GRIDS,
    Grid,
    drop_patches,
    num_dropped,
    shuffle_patches,
)

__all__ = [
    'Corruption',
    'Drawing',
    'accuracies_of',
    'corrupt',
    'corruptions',
    'count_right',
    'finest_grid',
    'robustness_accuracies',
]

Predict = Callable[[Tensor], Iterable[tuple[str, Tensor]]]
Counts = dict[str, list[list[int]]]  # of each corruption and repeat, by network
DROP_GRID: Grid = (14, 14)
AUTHORS_SEED = 1


class Corruption(NamedTuple):
    """A kind of corruption and its strength.

    Attributes:
        kind: ``'occlusion'`` or ``'shuffle'``.
        grid: Rows and columns of the patches.
        tenths: Tenths of the patches that are dropped; 0 for a shuffle.
    """

    kind: str
    grid: Grid
    tenths: int = 0

    @property
    def level(self) -> str:
        """The strength in a word, such as ``'30%'`` or ``'4x8'``."""
        return (
            f'{10 * self.tenths}%' if self.kind == 'occlusion' else f'{self.grid[0]}x{self.grid[1]}'
        )

    @property
    def strength(self) -> float:
        """Position on the axis of a plot: the share in percent, or the number of pieces."""
        return 10 * self.tenths if self.kind == 'occlusion' else self.grid[0] * self.grid[1]


@dataclass(frozen=True)
class Drawing:
    """How random patches are drawn.

    Args:
        seed: Seed of the first repeat.
        per_image: Draw for each image, by its number in the data set, so that batches do not change
            the images; ``False`` draws once for a batch, as the authors' code does.
    """

    seed: int = 0
    per_image: bool = True

    @classmethod
    def official(cls) -> 'Drawing':
        """As the authors' code draws."""
        return cls(AUTHORS_SEED, per_image=False)


Accuracies = dict[Corruption, dict[str, tuple[float, ...]]]


def corruptions(size: tuple[int, int], drop_grid: Grid = DROP_GRID) -> list[Corruption]:
    """List the corruptions of the paper, without those whose grid does not divide the images.

    Args:
        size: Height and width of the images.
        drop_grid: Grid of the patches to drop: 14 × 14 in the paper.

    Example:
        >>> [one.level for one in corruptions((48, 48), (6, 6)) if one.kind == 'shuffle']
        ['2x2', '2x4', '4x4', '4x8', '8x8', '16x16']
    """
    listed = [Corruption('occlusion', drop_grid, tenths) for tenths in DROPPED_TENTHS]
    listed += [Corruption('shuffle', grid) for grid in SHUFFLE_GRIDS]
    return [
        one for one in listed if not any(side % n for side, n in zip(size, one.grid, strict=True))
    ]


def finest_grid(size: tuple[int, int]) -> int:
    """Return the paper's 14, or the largest number below it that divides both sides.

    Example:
        >>> finest_grid((224, 224)), finest_grid((48, 48))
        (14, 12)
    """
    return max(n for n in range(1, DROP_GRID[0] + 1) if not any(side % n for side in size))


def corrupt(
    images: Tensor, first: int, what: Corruption, drawing: Drawing = Drawing(), repeat: int = 0
) -> Tensor:
    """Corrupt a batch of normalised images.

    The more patches of an image are dropped, the more are added to those dropped before.

    Args:
        images: (B, C, H, W).
        first: Number of the first image in the data set.
        what: How to corrupt them.
        drawing: How to draw patches.
        repeat: Each repeat draws other patches.
    """
    same = not drawing.per_image
    numbers = range(first, first + (1 if same else len(images)))
    generators = [_generator(drawing.seed + repeat, number) for number in numbers]
    if what.kind == 'shuffle':
        return shuffle_patches(images, what.grid, generators, same)
    return drop_patches(images, what.grid, num_dropped(what.grid, what.tenths), generators, same)


def count_right(
    images: Tensor,
    labels: Tensor,
    first: int,
    listed: Sequence[Corruption],
    predict: Predict,
    drawing: Drawing = Drawing(),
    repeats: int = 1,
) -> Counts:
    """Count how often networks are right about corrupted images.

    Args:
        images: Normalised images (B, C, H, W).
        labels: Their classes (B,).
        first: Number of the first one in the data set.
        listed: See :func:`robustness_accuracies`, as for the rest.
        predict: Likewise.
        drawing: Likewise.
        repeats: Likewise.

    Returns:
        Images that are classified right, of each corruption and repeat, by network; plain data.
    """
    right: Counts = {}
    for number, what in enumerate(listed):
        for repeat in range(repeats):
            corrupted = corrupt(images, first, what, drawing, repeat)
            for network, classes in predict(corrupted):
                of_network = right.setdefault(network, [[0] * repeats for _ in listed])
                of_network[number][repeat] = int((classes.cpu() == labels.cpu()).sum())
    return right


def accuracies_of(
    counts: Iterable[Counts], images: int, listed: Sequence[Corruption]
) -> Accuracies:
    """Sum what :func:`count_right` has counted in all batches.

    Args:
        counts: Of each batch.
        images: Number of images in all batches.
        listed: Corruptions that they were counted with.

    Returns:
        Accuracies in percent of each repeat, by corruption and network.

    Raises:
        ValueError: There is no image.
    """
    if not images:
        raise ValueError('there is no image')
    totals: dict[str, Tensor] = {}
    for batch in counts:
        for network, right in batch.items():
            totals[network] = totals.get(network, 0) + torch.tensor(right)
    return {
        what: {
            network: tuple(100 * right / images for right in total[number].tolist())
            for network, total in totals.items()
        }
        for number, what in enumerate(listed)
    }


def robustness_accuracies(
    batches: Iterable[tuple[Tensor, Tensor]],
    listed: Sequence[Corruption],
    predict: Predict,
    drawing: Drawing = Drawing(),
    repeats: int = 1,
) -> Accuracies:
    """Measure the accuracy of networks on corrupted images. Each image is read once.

    Args:
        batches: Normalised images (B, C, H, W) and their classes (B,).
        listed: Corruptions, such as those of :func:`corruptions`.
        predict: Yields, for images, the name of each network and the classes (B,) that it predicts.
        drawing: How to draw patches.
        repeats: How often, with other patches.

    Returns:
        Accuracies in percent of each repeat, by corruption and network.

    Raises:
        ValueError: There is no image, or ``repeats`` is below 1.
    """
    if repeats < 1:
        raise ValueError(f'repeats must be at least 1, got {repeats}')
    counts, first = [], 0
    for images, labels in batches:
        counts.append(count_right(images, labels, first, listed, predict, drawing, repeats))
        first += len(images)
    return accuracies_of(counts, first, listed)


def _generator(seed: int, number: int) -> torch.Generator:
    """Make the generator of an image; torch's on the CPU takes 32 bits of a seed."""
    return torch.Generator().manual_seed(Random(f'{seed}/{number}').getrandbits(32))
