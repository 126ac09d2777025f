"""Linear heads on frozen features, many trained at once."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from math import cos, pi

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = [
    'DEFAULT_LRS',
    'PAPER_LRS',
    'Head',
    'HeadTrainer',
    'Regularised',
    'TrainedHead',
    'head_grid',
]

# Base learning rates of the authors' code, for 256 images; they are scaled by the batch size.
PAPER_LRS = (
    1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2, 0.1,
)  # fmt: skip
# Theirs reach 0.8 by their batch of 2048; so do these by one of 256.
DEFAULT_LRS = tuple(10 * lr for lr in PAPER_LRS)
MOMENTUM = 0.9
INIT_STD = 0.01
LOGITS = 2**26  # at once, in a batch of features for all heads: 0.25 GiB


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
class Regularised:
    """Settings of a linear head that logistic regression fits.

    Args:
        source: Name of the features that it is fitted to.
        c: scikit-learn's C: weight of the images over that of the squared weights.
    """

    source: str
    c: float


@dataclass(frozen=True)
class TrainedHead:
    """A linear head.

    Args:
        head: Its settings.
        weight: (classes, D).
        bias: (classes,).
    """

    head: Head | Regularised
    weight: Tensor
    bias: Tensor

    def predict(self, features: Tensor) -> Tensor:
        """Classify features (N, D): classes (N,)."""
        size = max(LOGITS // len(self.bias), 1)
        parts = [
            F.linear(part.to(self.weight), self.weight, self.bias).argmax(dim=1)
            for part in features.split(size)
        ]
        return torch.cat(parts)


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


class HeadTrainer:
    """Trains heads that take the same features, in one matrix product.

    Each head is trained as ``torch.optim.SGD`` with momentum 0.9 and a cosine schedule to 0 trains
    it alone; one that diverges changes no other. All start from the same weights, N(0, 0.01²).

    Args:
        heads: Their settings; the sources are not looked at.
        width: Channels of the features, D.
        num_classes: Number of classes.
        steps: Number of steps of the schedule.
        generator: Draws the initial weights; on the CPU.
        device: Where to train.

    Attributes:
        done: Number of steps that were taken.
    """

    def __init__(
        self,
        heads: Sequence[Head],
        width: int,
        num_classes: int,
        steps: int,
        generator: torch.Generator,
        device: torch.device | str = 'cpu',
    ) -> None:
        self.settings = tuple(heads)
        self.steps = steps
        self.done = 0
        self._shape = (len(heads), num_classes, width)
        weight = torch.empty(num_classes, width).normal_(0, INIT_STD, generator=generator)
        # Heads and classes are one axis, so that all logits come from one product.
        self.weight = weight.to(device).repeat(len(heads), 1)
        self.bias = torch.zeros(len(self.weight), device=device)
        self._momenta = [torch.zeros_like(part) for part in (self.weight, self.bias)]
        self._lr, self._decay = (
            torch.tensor([getattr(head, name) for head in heads], device=device)
            for name in ('lr', 'weight_decay')
        )

    @staticmethod
    def bytes_of(heads: int, width: int, num_classes: int) -> int:
        """Memory of a trainer's weights and momenta."""
        return 4 * 2 * heads * num_classes * (width + 1)

    @torch.no_grad()
    def step(self, features: Tensor, labels: Tensor) -> None:
        """Take a step.

        Args:
            features: (B, D).
            labels: Classes (B,).
        """
        assert self.done < self.steps
        features = features.to(self.weight)
        factor = 0.5 * (1 + cos(pi * self.done / self.steps)) * self._lr
        for part in self._parts(len(features)):
            # The gradient of the mean cross-entropy by the logits is (softmax - one-hot) / B.
            errors = self._logits(features, part).softmax(dim=-1)  # (B, heads, classes)
            errors[torch.arange(len(labels), device=errors.device), :, labels] -= 1
            errors = errors.flatten(1)
            rows = self._rows(part)
            weight_momentum, bias_momentum = (momentum[rows] for momentum in self._momenta)
            weight_momentum.addmm_(errors.mT, features, beta=MOMENTUM, alpha=1 / len(features))
            bias_momentum.mul_(MOMENTUM).add_(errors.sum(dim=0), alpha=1 / len(features))
            for momentum, value in (
                (weight_momentum, self.weight[rows]),
                (bias_momentum, self.bias[rows]),
            ):
                # Views: a line for each head, so that it has its own rate and decay.
                of_heads, values = (x.view(-1, x.numel() // _len(part)) for x in (momentum, value))
                of_heads.addcmul_(values, self._decay[part, None])
                values.addcmul_(of_heads, factor[part, None], value=-1)
        self.done += 1

    @torch.no_grad()
    def correct(self, features: Tensor, labels: Tensor) -> Tensor:
        """Count the features (B, D) that each head classifies as ``labels`` (B,): (heads,).

        A head that has diverged classifies none.
        """
        features = features.to(self.weight)
        counts = []
        for part in self._parts(len(features)):
            largest, predicted = self._logits(features, part).max(dim=-1)
            counts.append(((predicted == labels[:, None]) & largest.isfinite()).sum(dim=0))
        return torch.cat(counts)

    def trained(self, number: int) -> TrainedHead:
        """Copy out a head."""
        rows = self._rows(slice(number, number + 1))
        return TrainedHead(
            self.settings[number], self.weight[rows].clone(), self.bias[rows].clone()
        )

    def state(self) -> dict[str, Tensor]:
        """Return all that a later run needs to go on: tensors, by name."""
        weight, bias = self._momenta
        return {
            'weight': self.weight,
            'bias': self.bias,
            'weight_momentum': weight,
            'bias_momentum': bias,
            'done': torch.tensor(self.done),
        }

    def resume(self, state: dict[str, Tensor]) -> None:
        """Go on from a :meth:`state`."""
        for name, tensor in self.state().items():
            if name != 'done':
                tensor.copy_(state[name])
        self.done = int(state['done'])

    def _logits(self, features: Tensor, part: slice) -> Tensor:
        rows = self._rows(part)
        logits = torch.addmm(self.bias[rows], features, self.weight[rows].mT)
        return logits.unflatten(1, (-1, self._shape[1]))  # (B, heads, classes)

    def _rows(self, part: slice) -> slice:
        return slice(part.start * self._shape[1], part.stop * self._shape[1])

    def _parts(self, batch: int) -> Iterator[slice]:
        """Yield the heads in parts whose logits of a batch are at most :data:`LOGITS`."""
        size = max(LOGITS // (batch * self._shape[1]), 1)
        for start in range(0, self._shape[0], size):
            yield slice(start, min(start + size, self._shape[0]))


def _len(part: slice) -> int:
    return part.stop - part.start
