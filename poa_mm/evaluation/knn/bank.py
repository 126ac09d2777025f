"""k-NN with a bank that processes share: each holds, and searches, a part of it."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from mmengine import dist
from torch import Tensor

from poa_mm.evaluation.knn.few_shot import few_shot_rows
from poa_mm.evaluation.knn.neighbours import nearest_neighbours, ranked, rows_at_once
from poa_mm.evaluation.knn.votes import PAPER_KS, TEMPERATURE, check_k, check_queries, votes_of
from poa_mm.evaluation.ranks import from_first_rank

__all__ = ['Bank']


class Bank(NamedTuple):
    """Training features that vote, or the part of them that this process holds.

    Attributes:
        features: Of this process, (n, D), of any floating-point type.
        rows: Where they are in the whole bank, ascending, (n,).
        labels: Classes of the whole bank, (N,).
        shared: Whether other processes hold the rest, and all of them ask at the same time.
    """

    features: Tensor
    rows: Tensor
    labels: Tensor
    shared: bool = False

    @classmethod
    def whole(cls, features: Tensor, labels: Tensor) -> 'Bank':
        """Make a bank that one process holds."""
        return cls(features, torch.arange(len(features), device=features.device), labels)

    def few_shot(self, per_class: int, draw: int) -> 'Bank':
        """Keep the same number of training images of each class.

        They depend on the labels, ``per_class`` and ``draw`` alone, not on how the bank is shared.

        Raises:
            ValueError: As :func:`~poa_mm.evaluation.few_shot_rows`.
        """
        kept = few_shot_rows(self.labels, per_class, draw)
        places = torch.full((len(self.labels),), -1, device=self.labels.device)
        places[kept] = torch.arange(len(kept), device=kept.device)
        mine = places[self.rows]
        held = mine >= 0
        return Bank(self.features[held], mine[held], self.labels[kept], self.shared)

    def predict(
        self,
        test_features: Tensor,
        k: Sequence[int] = PAPER_KS,
        temperature: float = TEMPERATURE,
        chunk_size: int | None = None,
    ) -> dict[int, Tensor]:
        """Classify test features by the weighted vote of their nearest training features.

        All processes that share the bank call this with the same test features. Predictions are
        those of :func:`~poa_mm.evaluation.knn_predict` with the whole bank, to the bit: each
        process ranks its own nearest ones by exact similarities, and of these the nearest vote.

        Args:
            test_features: Features to classify, (M, D), on the device of the bank.
            k: See :func:`~poa_mm.evaluation.knn_predict`.
            temperature: See :func:`~poa_mm.evaluation.knn_predict`.
            chunk_size: See :func:`~poa_mm.evaluation.knn_predict`.

        Returns:
            The predicted classes by k, each of shape (M,), on every process.

        Raises:
            ValueError: As :func:`~poa_mm.evaluation.knn_predict`.
        """
        check_queries(self.features, test_features, temperature)
        check_k(k, len(self.labels))
        # The first process has the most rows, and all must go through the same chunks.
        size = chunk_size or rows_at_once(self.features, max(k))
        size = from_first_rank(size) if self.shared else size
        return votes_of(
            lambda chunk: self._nearest(chunk, max(k)),
            self.labels,
            test_features.split(size),
            k,
            temperature,
        )

    def _nearest(self, query: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """Find the nearest training features of all processes: similarities and rows, (M, k)."""
        if not self.shared:
            return nearest_neighbours(self.features, query, k)
        mine = min(k, len(self.features))
        # What a process does not have ranks behind all others.
        similarity = query.new_full((len(query), k), -torch.inf, dtype=torch.float64)
        index = torch.zeros(len(query), k, dtype=torch.int64, device=query.device)
        if mine:
            found, where = nearest_neighbours(self.features, query, mine)
            similarity[:, :mine], index[:, :mine] = found, self.rows[where]
        return ranked(
            torch.cat(dist.all_gather(similarity), dim=1),
            torch.cat(dist.all_gather(index), dim=1),
            k,
        )
