"""Two ways to make the teacher use all prototypes. Each finds one shift a prototype.

The teacher's targets are ``softmax(logits / τ_t − shift)``, see
:func:`~poa_mm.models.losses.probabilities.teacher_probs`.
"""

from collections.abc import Sequence

import torch
from mmengine import dist
from torch import Tensor, nn

from poa_mm.models.losses.chunks import PrototypeLogits, prototype_logits
from poa_mm.models.losses.probabilities import apply_temperature
from poa_mm.models.losses.sinkhorn import sinkhorn_shifts


class SinkhornKnopp(nn.Module):
    """Find shifts by Sinkhorn-Knopp over the global batch, the paper's way.

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
        """Find the shifts of every kind of token and every head.

        Args:
            kinds: Features (N, d) of each head by kind of token, such as class tokens.
            prototypes: Prototypes (K_h, d) of each head.
            temperature: τ_t.

        Returns:
            Shifts (K_h,) of each head by kind.
        """
        matrices = [
            PrototypeLogits(features, weight)
            for heads in kinds.values()
            for features, weight in zip(heads, prototypes, strict=True)
        ]
        # One call for all kinds and heads: the ranks wait for each other least often.
        shifts = iter(sinkhorn_shifts(matrices, temperature, self.num_iters))
        return {kind: [next(shifts) for _ in heads] for kind, heads in kinds.items()}

    def step(self, prototypes: list[Tensor]) -> None:
        """Do nothing: each batch is balanced by itself."""

    def discard(self) -> None:
        """Do nothing: no batch is remembered."""


class Centering(nn.Module):
    """Shift by a running mean of the teacher's logits, as DINO does: no loop over the batch.

    In training, the sums of a batch wait until :meth:`step`, which moves the means once for all
    batches of an optimiser step, or until :meth:`discard`. Like the gradients that are accumulated
    beside them, they are not saved in a checkpoint.

    Args:
        kinds: Kinds of tokens, each with its own mean.
        num_prototypes: K of each head.
        momentum: Momentum of the running means.
    """

    def __init__(
        self, kinds: Sequence[str], num_prototypes: Sequence[int], momentum: float = 0.9
    ) -> None:
        super().__init__()
        self.kinds = tuple(kinds)
        self.momentum = momentum
        for kind in kinds:
            for head, number in enumerate(num_prototypes):
                self.register_buffer(self._name(kind, head), torch.zeros(number))
        # By kind: features summed over all tokens, (heads, d), and the number of tokens. They are
        # no buffers, since DDP would overwrite those by the first rank's.
        self._waiting: dict[str, tuple[Tensor, int]] = {}

    @torch.no_grad()
    def forward(
        self, kinds: dict[str, list[Tensor]], prototypes: list[Tensor], temperature: float
    ) -> dict[str, list[Tensor]]:
        """Return the shifts, as :meth:`SinkhornKnopp.forward`; in training, note the features."""
        if self.training:
            for kind, heads in kinds.items():
                summed = torch.stack([features.sum(dim=0) for features in heads])
                before, number = self._waiting.get(kind, (torch.zeros_like(summed), 0))
                self._waiting[kind] = (before + summed, number + len(heads[0]))
        return {
            kind: [
                apply_temperature(self.get_buffer(self._name(kind, head)), temperature)
                for head in range(len(prototypes))
            ]
            for kind in kinds
        }

    @torch.no_grad()
    def step(self, prototypes: list[Tensor]) -> None:
        """Move the means by all features on all ranks since the last step.

        Args:
            prototypes: Prototypes (K_h, d) of each head, as they were for these features.
        """
        if not self._waiting:  # the same on all ranks
            return
        # The mean logit is the logit of the mean feature: d numbers to exchange, not K.
        nothing = (torch.zeros(len(prototypes), prototypes[0].shape[1]).to(prototypes[0]), 0)
        waiting = [self._waiting.get(kind, nothing) for kind in self.kinds]
        self._waiting = {}
        total = torch.stack(
            [torch.cat([s.flatten(), s.new_tensor([number])]) for s, number in waiting]
        )
        dist.all_reduce(total)
        for kind, sums in zip(self.kinds, total, strict=True):
            means = (sums[:-1] / sums[-1].clamp(min=1)).view(len(prototypes), -1)
            keep = torch.where(sums[-1] > 0, self.momentum, 1.0)  # without tokens the mean stays
            for head, (mean, weight) in enumerate(zip(means, prototypes, strict=True)):
                center = self.get_buffer(self._name(kind, head))
                logits = prototype_logits(mean, weight).to(center.dtype)
                center.copy_(logits + keep.to(center.dtype) * (center - logits))

    def discard(self) -> None:
        """Forget all features since the last step."""
        self._waiting = {}

    @staticmethod
    def _name(kind: str, head: int) -> str:
        return f'center_{kind}_{head}'
