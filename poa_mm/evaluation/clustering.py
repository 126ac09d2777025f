"""Clustering of frozen features by k-means, compared with the classes (Table 8 of the paper)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, stdev
from typing import Any

import numpy as np
from torch import Tensor

__all__ = ['ClusteringResult', 'clustering_scores', 'hungarian_accuracy', 'kmeans_scores']

METRICS = ('acc', 'ari', 'nmi', 'fmi')


@dataclass(frozen=True)
class ClusteringResult:
    """Scores of repeated k-means, in percent by metric.

    Attributes:
        means: Mean over the repeats.
        stds: Sample standard deviation over the repeats; 0 for a single one.
        runs: Scores of each repeat.
    """

    means: Mapping[str, float]
    stds: Mapping[str, float]
    runs: tuple[Mapping[str, float], ...]


def clustering_scores(clusters: Tensor, labels: Tensor) -> dict[str, float]:
    """Compare clusters with classes.

    Args:
        clusters: Cluster of each image, integers (N,).
        labels: Class of each image, integers (N,).

    Returns:
        In percent: accuracy of the best assignment of clusters to classes (``acc``), adjusted Rand
        index (``ari``), normalised mutual information (``nmi``) and Fowlkes-Mallows index
        (``fmi``).

    Raises:
        ValueError: Shapes are not the same (N,).

    Example:
        >>> import torch
        >>> clustering_scores(torch.tensor([3, 3, 9, 9]), torch.tensor([1, 1, 0, 0]))
        {'acc': 100.0, 'ari': 100.0, 'nmi': 100.0, 'fmi': 100.0}
    """
    from sklearn import metrics

    if clusters.shape != labels.shape or labels.ndim != 1 or not len(labels):
        raise ValueError(
            'clusters and labels must have the same shape (N,) with N > 0, got '
            f'{tuple(clusters.shape)} and {tuple(labels.shape)}'
        )
    found, true = clusters.cpu().numpy(), labels.cpu().numpy()
    scores = {
        'acc': hungarian_accuracy(clusters, labels) / 100,
        'ari': metrics.adjusted_rand_score(true, found),
        'nmi': metrics.normalized_mutual_info_score(true, found),
        'fmi': metrics.fowlkes_mallows_score(true, found),
    }
    return {name: 100 * float(value) for name, value in scores.items()}


def hungarian_accuracy(clusters: Tensor, labels: Tensor) -> float:
    """Measure the accuracy in percent of the best one-to-one assignment of clusters to classes.

    Args:
        clusters: Cluster of each image, integers (N,).
        labels: Class of each image, integers (N,).

    Example:
        >>> import torch
        >>> hungarian_accuracy(torch.tensor([5, 5, 5, 7]), torch.tensor([0, 0, 1, 1]))
        75.0
    """
    from scipy.optimize import linear_sum_assignment

    _, found = np.unique(clusters.cpu().numpy(), return_inverse=True)
    _, true = np.unique(labels.cpu().numpy(), return_inverse=True)
    counts = np.zeros((found.max() + 1, true.max() + 1), dtype=np.int64)
    np.add.at(counts, (found, true), 1)
    return 100 * float(counts[linear_sum_assignment(counts, maximize=True)].sum()) / len(found)


def kmeans_scores(
    features: Tensor,
    labels: Tensor,
    num_clusters: int | None = None,
    repeats: int = 1,
    seed: int = 0,
    **kwargs: Any,
) -> ClusteringResult:
    """Cluster features by scikit-learn's k-means and compare with the classes.

    As in the paper, features are not normalised; normalise them before for spherical clusters.

    Args:
        features: Features (N, D).
        labels: Class of each image, integers (N,).
        num_clusters: Number of clusters; ``None`` takes the number of classes.
        repeats: Number of runs, with seeds ``seed``, ``seed + 1``, …
        seed: Seed of the first run.
        **kwargs: Further arguments of ``sklearn.cluster.KMeans``.

    Raises:
        ValueError: Shapes do not fit, features are not finite, or numbers are out of range.

    Example:
        >>> import torch
        >>> corners = torch.tensor([[0.0, 0.0], [9.0, 0.0], [0.0, 9.0]]).repeat(5, 1)
        >>> kmeans_scores(corners, torch.arange(15) % 3, repeats=2).means['acc']
        100.0
    """
    from sklearn.cluster import KMeans

    if features.ndim != 2 or len(features) != len(labels):
        raise ValueError(
            'features and labels must have shapes (N, D) and (N,), got '
            f'{tuple(features.shape)} and {tuple(labels.shape)}'
        )
    count = len(labels.unique()) if num_clusters is None else num_clusters
    if not 1 <= count <= len(features) or repeats < 1:
        raise ValueError(
            f'num_clusters must be in [1, {len(features)}] and repeats positive, '
            f'got {count} and {repeats}'
        )
    array = features.float().cpu().numpy()
    if not np.isfinite(array).all():
        raise ValueError('features hold NaN or infinity')
    runs = []
    for number in range(seed, seed + repeats):
        found = KMeans(count, random_state=number, **kwargs).fit_predict(array)
        runs.append(clustering_scores(labels.new_tensor(found), labels))
    return summary_of_runs(runs)


def summary_of_runs(runs: Sequence[Mapping[str, float]]) -> ClusteringResult:
    """Summarise the scores of repeated runs."""
    columns = {metric: [run[metric] for run in runs] for metric in METRICS}
    return ClusteringResult(
        means={metric: mean(values) for metric, values in columns.items()},
        stds={m: stdev(values) if len(runs) > 1 else 0.0 for m, values in columns.items()},
        runs=tuple(runs),
    )
