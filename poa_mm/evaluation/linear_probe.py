"""Linear probing of frozen features: many heads in one pass, chosen on a held-out part of train.

The protocol of DINOv2 [0]_ that POA follows (Table 1): a linear layer on frozen features, trained
by SGD with momentum and a cosine schedule, for many learning rates and feature sources at once.

.. [0] Oquab et al., DINOv2: Learning Robust Visual Features without Supervision, TMLR 2024.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import cos, pi

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = [
    'PAPER_LRS',
    'Head',
    'TrainedHead',
    'head_grid',
    'held_out_rows',
    'probe_accuracies',
    'train_heads',
]

# Base learning rates of the authors' code, for 256 images; they are scaled by the batch size.
PAPER_LRS = (
    1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2, 0.1,
)  # fmt: skip
MOMENTUM = 0.9
INIT_STD = 0.01


@dataclass(frozen=True)
class Head:
    """Settings of a linear head.

    Args:
        source: Name of the features that it is trained on.
        lr: Learning rate at the start of the cosine schedule, as it is applied.
        weight_decay: Weight decay of weights and biases.
    """

    source: str
    lr: float
    weight_decay: float = 0.0


@dataclass(frozen=True)
class TrainedHead:
    """A linear head.

    Args:
        head: Its settings.
        weight: (classes, D).
        bias: (classes,).
    """

    head: Head
    weight: Tensor
    bias: Tensor

    def predict(self, features: Tensor) -> Tensor:
        """Classify features (N, D): classes (N,)."""
        return F.linear(features.to(self.weight), self.weight, self.bias).argmax(dim=1)


def head_grid(
    sources: Sequence[str],
    lrs: Sequence[float] = PAPER_LRS,
    weight_decays: Sequence[float] = (0.0,),
) -> list[Head]:
    """List the heads of all combinations of sources, learning rates and weight decays.

    Example:
        >>> len(head_grid(['last 1', 'last 4', 'last 1 + mean', 'last 4 + mean']))
        52
    """
    return [Head(*settings) for settings in product(sources, lrs, weight_decays)]


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
    ``torch.optim.SGD`` with momentum 0.9 and a cosine schedule to 0 trains it alone.

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
    for source in dict.fromkeys(head.source for head in heads):
        members = [number for number, head in enumerate(heads) if head.source == source]
        inputs = features[source]
        weight, bias = _train(
            inputs, labels, [heads[n] for n in members], num_classes, epochs, batch_size, seed
        )
        for row, number in enumerate(members):
            trained[number] = TrainedHead(heads[number], weight[row].clone(), bias[row].clone())
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


@torch.no_grad()
def _train(
    inputs: Tensor,
    labels: Tensor,
    heads: Sequence[Head],
    num_classes: int,
    epochs: int,
    batch_size: int,
    seed: int,
) -> tuple[Tensor, Tensor]:
    """Train the heads of one source: weights (heads, classes, D) and biases (heads, classes)."""
    generator = torch.Generator().manual_seed(seed)
    width, device = inputs.shape[1], inputs.device
    weight = torch.empty(num_classes, width).normal_(0, INIT_STD, generator=generator).to(device)
    # The last column is the bias; all heads start alike.
    heads_weight = F.pad(weight, (0, 1)).expand(len(heads), -1, -1).clone()
    momentum = torch.zeros_like(heads_weight)
    lr = torch.tensor([head.lr for head in heads], device=device)[:, None, None]
    decay = torch.tensor([head.weight_decay for head in heads], device=device)[:, None, None]
    steps = epochs * -(-len(inputs) // batch_size)
    for step, rows in enumerate(_batches(len(inputs), epochs, batch_size, generator)):
        rows = rows.to(device)
        batch = F.pad(inputs[rows].float(), (0, 1), value=1.0)
        # The gradient of the mean cross-entropy by the logits is (softmax - one-hot) / B.
        errors = (batch @ heads_weight.mT).softmax(dim=-1)  # (heads, B, classes)
        errors[:, torch.arange(len(rows), device=device), labels[rows]] -= 1
        gradient = errors.mT @ batch / len(rows) + decay * heads_weight
        momentum = MOMENTUM * momentum + gradient
        heads_weight -= 0.5 * (1 + cos(pi * step / steps)) * lr * momentum
    return heads_weight[..., :-1], heads_weight[..., -1]


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
    if not heads:
        raise ValueError('heads is empty: give at least one head')
    if unknown := sorted({head.source for head in heads} - set(features)):
        raise ValueError(f'no features {unknown}; there are {sorted(features)}')
    if min(epochs, batch_size) < 1:
        raise ValueError(f'epochs and batch_size must be positive, got {epochs} and {batch_size}')
    for head in heads:
        if not head.lr > 0 or not head.weight_decay >= 0:
            raise ValueError(f'lr must be positive and weight_decay not negative, got {head}')
    for source in {head.source for head in heads}:
        shape = tuple(features[source].shape)
        if len(shape) != 2 or labels.shape != shape[:1] or not shape[0]:
            raise ValueError(
                f'features {source!r} and labels must have shapes (N, D) and (N,), got {shape} and '
                f'{tuple(labels.shape)}'
            )
        if not torch.isfinite(features[source]).all():
            raise ValueError(f'features {source!r} hold NaN or infinity')
    if not 0 <= int(labels.min()) <= int(labels.max()) < num_classes:
        raise ValueError(
            f'labels must be in [0, {num_classes - 1}], got {int(labels.min())}…{int(labels.max())}'
        )
