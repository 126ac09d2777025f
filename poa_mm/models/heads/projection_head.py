"""Projection heads with prototypes (paper App. C.1)."""

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn

from poa_mm.elastic import ElasticInputLinear
from poa_mm.models.losses.precision import full_precision
from poa_mm.registry import MODELS


class Prototypes(nn.Module):
    """Weight-normalised linear layer without bias: one row, of learnt length, a prototype.

    Args:
        in_features: Channels of the L2-normalised bottleneck.
        num_prototypes: K.
    """

    def __init__(self, in_features: int, num_prototypes: int) -> None:
        super().__init__()
        self.weight_g = nn.Parameter(torch.ones(num_prototypes, 1))
        self.weight_v = nn.Parameter(torch.empty(num_prototypes, in_features))
        nn.init.trunc_normal_(self.weight_v, std=0.02)

    def weight(self) -> Tensor:
        """The prototypes, (K, in_features)."""
        return self.weight_g * F.normalize(self.weight_v, dim=-1)

    def forward(self, x: Tensor) -> Tensor:
        """Similarity of (B, in_features) with every prototype, (B, K)."""
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
    """

    def __init__(self, in_features: int, num_prototypes: int, hidden: int, bottleneck: int) -> None:
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
        self.prototypes: Prototypes = Prototypes(bottleneck, num_prototypes)

    def embed(self, x: Tensor) -> Tensor:
        """L2-normalised bottleneck (B, d) of features (B, D_i) of any elastic width."""
        return F.normalize(full_precision(self.mlp(x)), dim=-1)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, K) of features (B, D_i) of any elastic width."""
        return self.prototypes(self.embed(x))


@MODELS.register_module()
class MultiProjectionHead(BaseModule):
    """Several projection heads that differ in their number of prototypes (MPH, App. C.1).

    Args:
        in_features: Width of the intact backbone.
        num_prototypes: K of each head.
        hidden: Channels of the hidden layers.
        bottleneck: Channels of the bottleneck.

    Raises:
        ValueError: No head, or a head with fewer than two prototypes.
    """

    def __init__(
        self,
        in_features: int,
        num_prototypes: Sequence[int] = (8192, 16384, 32768, 65536),
        hidden: int = 2048,
        bottleneck: int = 256,
    ) -> None:
        super().__init__()
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
            ProjectionHead(in_features, number, hidden, bottleneck) for number in num_prototypes
        )

    def embed(self, x: Tensor) -> list[Tensor]:
        """Bottleneck (B, d) of each head for features (B, D_i) of any elastic width."""
        return [head.embed(x) for head in self._heads()]

    def prototypes(self) -> list[Tensor]:
        """Prototypes (K_h, d) of each head; logits are ``embed(x) @ prototypes.T``."""
        return [head.prototypes.weight() for head in self._heads()]

    def forward(self, x: Tensor) -> list[Tensor]:
        """Logits (B, K_h) of each head for features (B, D_i) of any elastic width."""
        return [head(x) for head in self.heads]

    def _heads(self) -> Iterator['ProjectionHead']:
        yield from self.heads  # type: ignore[misc] # a ModuleList of this class alone
