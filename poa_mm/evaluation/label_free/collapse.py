"""Signs of collapse in what a teacher computes for a few batches of training.

Self-distillation has solutions that teach nothing: all images get the same feature, all get the
same prototype, or all targets are uniform. The loss does not tell them from progress.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from mmengine import dist
from torch import Tensor

from poa_mm.evaluation.label_free.measures import rankme
from poa_mm.models.losses import TeacherHead, TeacherTargets
from poa_mm.models.losses.chunks import chunk_slices

__all__ = ['TeacherState', 'TeacherWatch', 'collapse_signs', 'targets_of']

MAX_TOKENS = 4096  # of all ranks: plenty for a rank, and an eigenvalue problem of well below 1 s
# Beyond these a run learns nothing. Measured on Tiny-ImageNet from random weights on: RankMe 16 to
# 40 of 64, entropy 0.87 to 0.93 of log K, 0.5 to 0.9 of the prototypes; at τ_t = 0.3 the entropy is
# above 0.999.
LEAST_RANK = 2.0
MOST_ENTROPY = 0.995
FEWEST_PROTOTYPES = 0.02


class TeacherState(NamedTuple):
    """What a few batches show of a teacher.

    Attributes:
        rankme: RankMe of the class tokens of the global views, from 1 to the backbone's width. Of a
            teacher that runs as sub-networks, the mean over their widths.
        entropy: Mean entropy of the targets of these in each head, as a share of log K.
        in_use: Prototypes that are the first choice of a class token, in each head, as a share of
            the most that there could be: K, or the number of tokens if that is smaller.
        num_prototypes: K of each head.
    """

    rankme: float
    entropy: tuple[float, ...]
    in_use: tuple[float, ...]
    num_prototypes: tuple[int, ...]

    @property
    def scalars(self) -> dict[str, float]:
        """Numbers for the log, as means over the heads."""
        return {
            'rankme': self.rankme,
            'target_entropy': sum(self.entropy) / len(self.entropy),
            'prototypes_in_use': sum(self.in_use) / len(self.in_use),
        }


class TeacherWatch:
    """Collect what the teacher computes for some batches, without a wait for the device.

    Args:
        max_tokens: Class tokens to keep for RankMe, of all ranks together; the first ones.
    """

    def __init__(self, max_tokens: int = MAX_TOKENS) -> None:
        self._room = max(2, max_tokens // dist.get_world_size())
        self._tokens: list[Tensor] = []
        self._entropies: list[Tensor] = []  # (H, tokens) of each batch
        self._first: list[Tensor] = []  # first choices, (H, tokens) of each batch
        self._num_prototypes: tuple[int, ...] = ()

    @torch.no_grad()
    def __call__(self, class_tokens: Tensor, heads: Sequence[TeacherHead]) -> None:
        """Take a batch.

        Args:
            class_tokens: Of the global views, (2B, D); D may differ between batches.
            heads: The teacher's targets of each head.
        """
        self._num_prototypes = tuple(len(head.class_tokens.shift) for head in heads)
        kept = class_tokens[: self._room].float()
        self._room -= len(kept)
        self._tokens.append(kept)
        pairs = [targets_of(head.class_tokens) for head in heads]
        self._entropies.append(torch.stack([entropies for entropies, _ in pairs]))
        self._first.append(torch.stack([first for _, first in pairs]))

    def state(self) -> TeacherState | None:
        """Summarise the batches of all ranks, which all get the same.

        All ranks must call this together.

        Returns:
            None if no class token was finite, as after a loss that is NaN.
        """
        parts = (torch.cat(self._entropies, 1), torch.cat(self._first, 1))
        ranks = dist.all_gather_object(
            (_by_width(self._tokens), *(part.cpu() for part in parts)),
        )
        widths = _by_width([tokens for rank in ranks for tokens in rank[0].values()])
        entropies = torch.cat([rank[1] for rank in ranks], dim=1)
        first = torch.cat([rank[2] for rank in ranks], dim=1)
        finite_tokens = [tokens[tokens.isfinite().all(dim=1)] for tokens in widths.values()]
        ranks_of = [
            rankme(tokens) if tokens.any() else 1.0 for tokens in finite_tokens if len(tokens)
        ]
        finite = entropies.isfinite().all(dim=0)
        if not ranks_of or not finite.any():
            return None
        entropies, first = entropies[:, finite], first[:, finite]
        most = torch.tensor(self._num_prototypes, dtype=entropies.dtype)
        shares = entropies.mean(dim=1) / most.log()
        used = [len(choices.unique()) for choices in first]
        return TeacherState(
            sum(ranks_of) / len(ranks_of),
            tuple(shares.tolist()),
            tuple(
                n / min(k, first.shape[1]) for n, k in zip(used, self._num_prototypes, strict=True)
            ),
            self._num_prototypes,
        )


def _by_width(tokens: Sequence[Tensor]) -> dict[int, Tensor]:
    """Join features (N, D) of each width D, on the CPU."""
    widths = sorted({part.shape[1] for part in tokens})
    return {
        width: torch.cat([part for part in tokens if part.shape[1] == width]).cpu()
        for width in widths
    }


def targets_of(targets: TeacherTargets) -> tuple[Tensor, Tensor]:
    """Return the entropy in nats and the first choice of each class token.

    Args:
        targets: Of the class tokens of the global views, (2, B, K), computed a few at a time.

    Returns:
        Entropies and indices, (2·B,) each.
    """
    views, images = targets.logits.features.shape[:2]
    entropies, first = [], []
    for chunk in chunk_slices(images, views * len(targets.shift)):
        probs = targets[:, chunk]
        entropies.append(torch.special.entr(probs).sum(dim=-1))
        first.append(probs.argmax(dim=-1))
    return torch.cat(entropies, dim=1).flatten(), torch.cat(first, dim=1).flatten()


def collapse_signs(state: TeacherState) -> Iterator[tuple[str, str]]:
    """Name each kind of collapse that a state shows, and describe it with its numbers."""
    if state.rankme < LEAST_RANK:
        yield (
            'alike',
            f'all images look alike to the teacher: RankMe of its class tokens is '
            f'{state.rankme:.2f}, where 1 means that there is a single direction',
        )
    few = _worst(state.in_use, state.num_prototypes, lowest=True)
    if few[0] < FEWEST_PROTOTYPES:
        yield (
            'few prototypes',
            f'the teacher sends all images to few prototypes: {few[0]:.1%} of those that could be '
            f'in use are, in the head of {few[1]:,}',
        )
    flat = _worst(state.entropy, state.num_prototypes, lowest=False)
    if flat[0] > MOST_ENTROPY:
        yield (
            'uniform',
            f"the teacher's targets are uniform, so there is nothing to learn from them: their "
            f'entropy is {flat[0]:.1%} of the most that there is, in the head of {flat[1]:,}',
        )


def _worst(values: Sequence[float], heads: Sequence[int], lowest: bool) -> tuple[float, int]:
    """Find the lowest or highest value, and K of its head."""
    return (min if lowest else max)(zip(values, heads, strict=True))
