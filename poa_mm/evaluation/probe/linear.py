"""Linear probing of frozen features: many heads in one pass, chosen on a held-out part of train.

The protocol of DINOv2 [0]_ that POA follows (Table 1): a linear layer on frozen features, trained
by SGD with momentum and a cosine schedule, for many learning rates and feature sources at once.

.. [0] Oquab et al., DINOv2: Learning Robust Visual Features without Supervision, TMLR 2024.
"""

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor

from poa_mm.evaluation.probe.heads import (
    DEFAULT_LRS,
    MOMENTUM,
    PAPER_LRS,
    Head,
    HeadTrainer,
    TrainedHead,
    head_grid,
)
from poa_mm.evaluation.probe.parts import parts_of

__all__ = [
    'DEFAULT_LRS',
    'MOMENTUM',
    'PAPER_LRS',
    'Head',
    'TrainedHead',
    'head_grid',
    'held_out_rows',
    'probe_accuracies',
    'train_heads',
]


def train_heads(
    features: Mapping[str, Tensor],
    labels: Tensor,
    heads: Sequence[Head],
    num_classes: int,
    epochs: int = 10,
    batch_size: int = 256,
    seed: int = 0,
) -> list[TrainedHead]:
    """Train many linear heads in one pass over features.

    All heads of a source take the same batches, in one matrix product. Each of them is trained as
    ``torch.optim.SGD`` with momentum 0.9 and a cosine schedule to 0 trains it alone. Heads that
    would take more than a GiB together are trained in turns, to the same weights.

    Args:
        features: Training features (N, D) by source; D can differ.
        labels: Classes, integers (N,) in [0, ``num_classes``).
        heads: Settings of the heads.
        num_classes: Number of classes.
        epochs: Passes over the features.
        batch_size: Features per step; the last batch of an epoch can be smaller.
        seed: Seed of initial weights and of the order of features.

    Returns:
        The heads in the order of ``heads``.

    Raises:
        ValueError: There is no head, a source is unknown, shapes do not fit, labels or settings are
            out of range, or features are not finite.

    Example:
        >>> corners = torch.tensor([[1.0, 0.0], [0.0, 1.0]]).repeat(50, 1)
        >>> labels = torch.arange(100) % 2
        >>> heads = train_heads({'cls': corners}, labels, [Head('cls', 0.5)], 2, batch_size=10)
        >>> probe_accuracies(heads, {'cls': corners}, labels)
        [100.0]
    """
    _check(features, labels, heads, num_classes, epochs, batch_size)
    trained: dict[int, TrainedHead] = {}
    widths = {source: inputs.shape[1] for source, inputs in features.items()}
    for source, numbers in parts_of(heads, widths, num_classes):
        inputs = features[source]
        generator = torch.Generator().manual_seed(seed)
        steps = epochs * -(-len(inputs) // batch_size)
        members = [heads[number] for number in numbers]
        trainer = HeadTrainer(
            members, inputs.shape[1], num_classes, steps, generator, inputs.device
        )
        for rows in _batches(len(inputs), epochs, batch_size, generator):
            rows = rows.to(inputs.device)
            trainer.step(inputs[rows], labels[rows])
        trained |= {number: trainer.trained(row) for row, number in enumerate(numbers)}
    return [trained[number] for number in range(len(heads))]


def probe_accuracies(
    heads: Sequence[TrainedHead], features: Mapping[str, Tensor], labels: Tensor
) -> list[float]:
    """Measure the top-1 accuracies of heads in percent.

    Args:
        heads: Trained heads.
        features: Features (N, D) by source.
        labels: Classes, integers (N,).
    """
    return [
        100 * (head.predict(features[head.head.source]) == labels).double().mean().item()
        for head in heads
    ]


def held_out_rows(num_images: int, share: float = 0.1, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Split training images at random into those to train on and those to choose a head on.

    Args:
        num_images: Number of training images, N.
        share: Share to hold out; at least one image, and not all of them.
        seed: Seed of the split.

    Returns:
        Rows to train on and rows held out, each in ascending order.

    Raises:
        ValueError: ``share`` is not between 0 and 1, or there are fewer than two images.

    Example:
        >>> [len(rows) for rows in held_out_rows(50)]
        [45, 5]
    """
    if not 0 < share < 1 or num_images < 2:
        raise ValueError(
            f'share must be between 0 and 1, of two images or more, got {share} of {num_images}'
        )
    held_out = min(max(round(share * num_images), 1), num_images - 1)
    order = torch.randperm(num_images, generator=torch.Generator().manual_seed(seed))
    return order[held_out:].sort().values, order[:held_out].sort().values


def _batches(
    size: int, epochs: int, batch_size: int, generator: torch.Generator
) -> Iterator[Tensor]:
    """Yield rows of batches, in a new order for each epoch."""
    for _ in range(epochs):
        yield from torch.randperm(size, generator=generator).split(batch_size)


def _check(
    features: Mapping[str, Tensor],
    labels: Tensor,
    heads: Sequence[Head],
    num_classes: int,
    epochs: int,
    batch_size: int,
) -> None:
    """Raise the documented errors of :func:`train_heads`."""
    check_heads(heads)
    if unknown := sorted({head.source for head in heads} - set(features)):
        raise ValueError(f'no features {unknown}; there are {sorted(features)}')
    if min(epochs, batch_size) < 1:
        raise ValueError(f'epochs and batch_size must be positive, got {epochs} and {batch_size}')
    for source in {head.source for head in heads}:
        shape = tuple(features[source].shape)
        if len(shape) != 2 or labels.shape != shape[:1] or not shape[0]:
            raise ValueError(
                f'features {source!r} and labels must have shapes (N, D) and (N,), got {shape} and '
                f'{tuple(labels.shape)}'
            )
        if not torch.isfinite(features[source]).all():
            raise ValueError(f'features {source!r} hold NaN or infinity')
    check_labels(labels, num_classes)


def check_heads(heads: Sequence[Head]) -> None:
    """Check that there are heads and that their settings are in range, or raise a ValueError."""
    if not heads:
        raise ValueError('heads is empty: give at least one head')
    for head in heads:
        if not 0 < head.lr < float('inf') or not 0 <= head.weight_decay < float('inf'):
            raise ValueError(f'lr must be positive and weight_decay not negative, got {head}')


def check_labels(labels: Tensor, num_classes: int) -> None:
    """Check that labels are classes, or raise a ValueError."""
    if not 0 <= int(labels.min()) <= int(labels.max()) < num_classes:
        raise ValueError(
            f'labels must be in [0, {num_classes - 1}], got {int(labels.min())}…{int(labels.max())}'
        )
