"""Nearest neighbours by cosine similarity, in little memory and without ties left to chance."""

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ['nearest_neighbours', 'ranked', 'rows_at_once']

# Elements held at once, of features and of similarities each: 16 MB in float32.
CHUNK_ELEMENTS = 2**22
EXACT_ELEMENTS = 2**20  # of candidates' features in float64: 8 MB
# Candidates beyond k, because rounding in float32 may confuse those next to k.
MARGIN = 32
EPS = 1e-12  # smallest norm that is divided by, as in torch.nn.functional.normalize


def nearest_neighbours(train: Tensor, test: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Find the training features that are most similar to each test feature.

    A search in float32, chunk by chunk of the training features, finds k + 32 candidates. Their
    similarities are computed again in float64, one by one, and decide: chunks do not change the
    result, unless more than 32 training features are as similar as the k-th up to rounding in
    float32. Equally similar ones rank by index.

    Args:
        train: Training features (N, D), in any floating-point type; not normalised, not copied.
        test: Test features (M, D), of which :func:`rows_at_once` fit into 0.25 GB.
        k: Number of neighbours, at most N.

    Returns:
        Cosine similarities in descending order, float64 (M, k), and rows of ``train``, (M, k).

    Example:
        >>> train = torch.tensor([[1.0, 0.0], [0.0, 2.0], [3.0, 3.0]])
        >>> nearest_neighbours(train, torch.tensor([[5.0, 1.0]]), k=2)[1]
        tensor([[0, 2]])
    """
    query = F.normalize(test.float(), dim=1)
    count = min(k + MARGIN, len(train))
    values = torch.empty(len(test), 0, device=test.device)
    index = torch.empty(len(test), 0, dtype=torch.int64, device=test.device)
    rows = max(1, CHUNK_ELEMENTS // train.shape[1])
    for start in range(0, len(train), rows):
        part = F.normalize(train[start : start + rows].float(), dim=1)
        found, where = _largest(query @ part.T, min(count, len(part)))
        values, order = torch.cat((values, found), dim=1).sort(dim=1, descending=True, stable=True)
        index = torch.cat((index, where + start), dim=1).gather(1, order)
        values, index = values[:, :count], index[:, :count]
    return _exact(train, test, index, k)


def rows_at_once(train: Tensor, k: int) -> int:
    """Return how many test features :func:`nearest_neighbours` compares in 0.25 GB."""
    rows = min(len(train), max(1, CHUNK_ELEMENTS // train.shape[1]))
    return max(1, CHUNK_ELEMENTS // max(rows, 4 * (k + MARGIN), train.shape[1]))


def _largest(similarity: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Find the k largest entries of each row in descending order, equal ones by index: (M, k)."""
    values, index = similarity.topk(min(k + 1, similarity.shape[1]))
    if values.shape[1] > k:
        # topk may return any of several entries that equal the k-th: sort such rows in full.
        tied = values[:, k - 1] == values[:, k]
        values, index = values[:, :k], index[:, :k]
        if tied.any():
            ordered = similarity[tied].sort(dim=1, descending=True, stable=True)
            values[tied], index[tied] = ordered.values[:, :k], ordered.indices[:, :k]
    return ranked(values, index, k)


def ranked(values: Tensor, index: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Sort rows by value in descending order, equal values by index, and take the first k."""
    index, by_index = index.sort(dim=1)
    values, by_value = values.gather(1, by_index).sort(dim=1, descending=True, stable=True)
    return values[:, :k], index.gather(1, by_value)[:, :k]


def _exact(train: Tensor, test: Tensor, index: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Compute the candidates' similarities in float64, and rank them."""
    rows = max(1, EXACT_ELEMENTS // (index.shape[1] * train.shape[1]))
    similarity = torch.empty(index.shape, dtype=torch.float64, device=test.device)
    for start in range(0, len(test), rows):
        query = test[start : start + rows, None].double()
        candidates = train[index[start : start + rows]].double()
        # Products summed row by row: a matrix product would round equal candidates differently.
        norms = candidates.square().sum(-1).sqrt().clamp_min(EPS)
        norms *= query.square().sum(-1).sqrt().clamp_min(EPS)
        similarity[start : start + rows] = candidates.mul_(query).sum(-1) / norms
    return ranked(similarity, index, k)
