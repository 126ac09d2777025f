"""Teacher targets: what makes the teacher use all prototypes, as one shift a prototype.

Both ways give ``softmax(logits / τ_t − shift)``.
"""

from collections.abc import Sequence

import torch
from mmengine import dist
from torch import Tensor, nn

from poa_mm.models.losses.chunks import chunk_slices, prototype_logits
from poa_mm.models.losses.sinkhorn import sinkhorn_shifts


class SinkhornKnopp(nn.Module):
    """Shifts by Sinkhorn-Knopp over the global batch (Eq. 5), the paper's way.

    Args:
        num_iters: Number of alternations.
    """

    def __init__(self, num_iters: int = 3) -> None:
        super().__init__()
        self.num_iters = num_iters

    @torch.no_grad()
    def forward(
        self, kinds: dict[str, list[Tensor]], prototypes: list[Tensor], temperature: float
    ) -> dict[str, list[Tensor]]:
        """Shifts of every kind of token and every head.

        Args:
            kinds: Features (N, d) of each head by kind of token, such as class tokens.
            prototypes: Prototypes (K_h, d) of each head.
            temperature: τ_t.

        Returns:
            Shifts (K_h,) of each head by kind.
        """
        pairs = [
            (features, weight)
            for heads in kinds.values()
            for features, weight in zip(heads, prototypes, strict=True)
        ]

        def chunks(features: Tensor, weight: Tensor):  # type: ignore[no-untyped-def]
            for rows in chunk_slices(len(features), len(weight)):
                yield prototype_logits(features[rows], weight, temperature)

        shifts = sinkhorn_shifts(
            [lambda pair=pair: chunks(*pair) for pair in pairs],  # type: ignore[misc]
            [prototype_logits(f[:0], w, 1.0).logsumexp(dim=0) for f, w in pairs],
            self.num_iters,
        )
        step = len(prototypes)
        return {kind: shifts[i * step : (i + 1) * step] for i, kind in enumerate(kinds)}


class Centering(nn.Module):
    """Shifts by a running mean of the teacher's logits, as DINO has it: no loop over the batch.

    Args:
        kinds: Kinds of tokens that have a mean of their own.
        num_prototypes: K of each head.
        momentum: Of the running means.
    """

    def __init__(
        self, kinds: Sequence[str], num_prototypes: Sequence[int], momentum: float = 0.9
    ) -> None:
        super().__init__()
        self.momentum = momentum
        for kind in kinds:
            for head, number in enumerate(num_prototypes):
                self.register_buffer(self._name(kind, head), torch.zeros(number))

    @torch.no_grad()
    def forward(
        self, kinds: dict[str, list[Tensor]], prototypes: list[Tensor], temperature: float
    ) -> dict[str, list[Tensor]]:
        """As :class:`SinkhornKnopp`. In training the means then take in the global batch."""
        shifts = {
            kind: [
                self.get_buffer(self._name(kind, head)) / temperature
                for head in range(len(prototypes))
            ]
            for kind in kinds
        }
        if self.training:
            for kind, heads in kinds.items():
                self._update(kind, heads, prototypes)
        return shifts

    def _update(self, kind: str, heads: list[Tensor], prototypes: list[Tensor]) -> None:
        # The mean logit is the logit of the mean feature: d numbers to exchange, not K.
        sums = torch.stack([features.sum(dim=0) for features in heads])
        total = torch.cat([sums.flatten(), sums.new_tensor([len(heads[0])])])
        dist.all_reduce(total)
        means = (total[:-1] / total[-1].clamp(min=1)).view_as(sums)
        keep = torch.where(total[-1] > 0, self.momentum, 1.0)  # no tokens, nothing learnt
        for head, (mean, weight) in enumerate(zip(means, prototypes, strict=True)):
            center = self.get_buffer(self._name(kind, head))
            logits = prototype_logits(mean[None], weight, 1.0)[0].to(center.dtype)
            center.copy_(logits + keep.to(center.dtype) * (center - logits))

    @staticmethod
    def _name(kind: str, head: int) -> str:
        return f'center_{kind}_{head}'
