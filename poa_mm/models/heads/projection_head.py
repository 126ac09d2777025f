"""Projection heads with prototypes."""

import math
from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn

from poa_mm.elastic import ElasticInputLinear
from poa_mm.models.losses.chunks import full_precision
from poa_mm.registry import MODELS

PROTOTYPE_INITS = ('trunc_normal', 'linear')


class Prototypes(nn.Module):
    """Weight-normalised linear layer without bias: one row, of learnt length, a prototype.

    Args:
        in_features: Channels d of the L2-normalised bottleneck.
        num_prototypes: K.
        init: Initialisation of the directions. Their lengths do not affect the output, but they do
            affect training: the longer a row, the less a step of the optimiser turns it.
            ``'trunc_normal'`` has a standard deviation of 0.02; ``'linear'`` is that of
            ``nn.Linear``, uniform within ±1/√d.
    """

    def __init__(self, in_features: int, num_prototypes: int, init: str = 'trunc_normal') -> None:
        super().__init__()
        self.weight_g = nn.Parameter(torch.ones(num_prototypes, 1))
        self.weight_v = nn.Parameter(torch.empty(num_prototypes, in_features))
        if init == 'linear':
            nn.init.kaiming_uniform_(self.weight_v, a=math.sqrt(5))
        else:
            nn.init.trunc_normal_(self.weight_v, std=0.02)

    def weight(self) -> Tensor:
        """Return the prototypes, (K, in_features)."""
        return self.weight_g * F.normalize(self.weight_v, dim=-1)

    def forward(self, x: Tensor) -> Tensor:
        """Compute the similarity of (B, in_features) with every prototype, (B, K)."""
        return F.linear(x, self.weight())


class ProjectionHead(nn.Module):
    """Three-layer MLP, L2-normalised bottleneck, prototypes.

    Only the first layer depends on the width of the backbone: it takes a prefix of its input
    channels, scaled by its own α (Sec. 3.2).

    Args:
        in_features: Width of the intact backbone.
        num_prototypes: K.
        hidden: Channels of the two hidden layers.
        bottleneck: Channels that the prototypes see.
        prototype_init: ``init`` of :class:`Prototypes`.
    """

    def __init__(
        self,
        in_features: int,
        num_prototypes: int,
        hidden: int,
        bottleneck: int,
        prototype_init: str = 'trunc_normal',
    ) -> None:
        super().__init__()
        self.mlp = nn.Sequential(
            ElasticInputLinear(in_features, hidden),
            nn.GELU(),
            nn.Linear(hidden, hidden),
            nn.GELU(),
            nn.Linear(hidden, bottleneck),
        )
        for layer in self.mlp:
            if isinstance(layer, nn.Linear):
                nn.init.trunc_normal_(layer.weight, std=0.02)
                nn.init.zeros_(layer.bias)
        self.prototypes: Prototypes = Prototypes(bottleneck, num_prototypes, prototype_init)

    def embed(self, x: Tensor) -> Tensor:
        """Map features (B, D_i) of any elastic width to the L2-normalised bottleneck (B, d)."""
        return F.normalize(full_precision(self.mlp(x)), dim=-1)

    def forward(self, x: Tensor) -> Tensor:
        """Map features (B, D_i) of any elastic width to logits (B, K)."""
        return self.prototypes(self.embed(x))


@MODELS.register_module()
class MultiProjectionHead(BaseModule):
    """Several projection heads that differ in their number of prototypes (MPH, App. C.1).

    Args:
        in_features: Width of the intact backbone.
        num_prototypes: K of each head.
        hidden: Channels of the hidden layers.
        bottleneck: Channels of the bottleneck.
        prototype_init: ``init`` of :class:`Prototypes`: ``'trunc_normal'`` or ``'linear'``.

    Raises:
        ValueError: No head, a head with fewer than two prototypes, or an unknown start.

    Example:
        >>> head = MultiProjectionHead(64, num_prototypes=(100, 200), hidden=32, bottleneck=16)
        >>> [tuple(logits.shape) for logits in head(torch.zeros(2, 48))]  # of a narrower network
        [(2, 100), (2, 200)]
    """

    def __init__(
        self,
        in_features: int,
        num_prototypes: Sequence[int] = (8192, 16384, 32768, 65536),
        hidden: int = 2048,
        bottleneck: int = 256,
        prototype_init: str = 'trunc_normal',
    ) -> None:
        super().__init__()
        if prototype_init not in PROTOTYPE_INITS:
            raise ValueError(
                f'prototype_init must be one of {PROTOTYPE_INITS}, got {prototype_init!r}'
            )
        if (
            not isinstance(num_prototypes, Sequence)
            or not num_prototypes
            or not all(isinstance(number, int) and number >= 2 for number in num_prototypes)
        ):
            raise ValueError(
                f'num_prototypes needs one number >= 2 for each head, got {num_prototypes}'
            )
        self.num_prototypes = tuple(num_prototypes)
        self.heads = nn.ModuleList(
            ProjectionHead(in_features, number, hidden, bottleneck, prototype_init)
            for number in num_prototypes
        )

    def embed(self, x: Tensor) -> list[Tensor]:
        """Map features (B, D_i) of any elastic width to each head's bottleneck (B, d)."""
        return [head.embed(x) for head in self._heads()]

    def prototypes(self) -> list[Tensor]:
        """Return the prototypes (K_h, d) of each head; logits are ``embed(x) @ prototypes.T``."""
        return [head.prototypes.weight() for head in self._heads()]

    def forward(self, x: Tensor) -> list[Tensor]:
        """Map features (B, D_i) of any elastic width to each head's logits (B, K_h)."""
        return [head(x) for head in self.heads]

    def _heads(self) -> Iterator['ProjectionHead']:
        yield from self.heads  # type: ignore[misc] # a ModuleList of this class alone
