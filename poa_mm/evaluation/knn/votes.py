"""Weighted k-nearest-neighbour classification on frozen features.

The protocol of DINO [0]_ that POA follows for its k-NN numbers (Tables 1, 13-15): features are
L2-normalised, a test image takes the votes of its k most similar training images, and a vote of
cosine similarity s weighs exp(s / T) with T = 0.07.

.. [0] Caron et al., Emerging Properties in Self-Supervised Vision Transformers, ICCV 2021,
   Sec. 4.1 and App. F.1. https://arxiv.org/abs/2104.14294
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from poa_mm.evaluation.accuracy import AVERAGES
from poa_mm.evaluation.knn.neighbours import nearest_neighbours, rows_at_once

__all__ = [
    'PAPER_KS',
    'TEMPERATURE',
    'check_k',
    'check_queries',
    'knn_accuracy',
    'knn_predict',
    'votes_of',
]

PAPER_KS = (10, 20, 100, 200)
TEMPERATURE = 0.07

# Elements of features checked, or of votes counted, at once: 32 MB in float64.
_CHUNK_ELEMENTS = 2**22


def knn_predict(
    train_features: Tensor,
    train_labels: Tensor,
    test_features: Tensor,
    k: Sequence[int] = PAPER_KS,
    temperature: float = TEMPERATURE,
    chunk_size: int | None = None,
) -> dict[int, Tensor]:
    """Classify test features by the weighted vote of their nearest training features.

    Ties are resolved: equally similar training images rank by their index, and among classes with
    equal votes, the class of the nearer neighbour wins.

    Args:
        train_features: Features of the training images, shape (N, D), of any floating-point type.
            Normalisation is not needed.
        train_labels: Their classes, integers of shape (N,), on the same device.
        test_features: Features to classify, shape (M, D), on the same device.
        k: Numbers of neighbours; one search serves all of them.
        temperature: T in exp(similarity / T), > 0. As it goes to 0, the nearest neighbour decides;
            as it grows, the vote becomes a majority vote.
        chunk_size: Test rows compared at once. Defaults to as many as keep the memory of the
            search below 0.25 GB, whatever the number of training images. It does not change the
            predictions.

    Returns:
        The predicted classes by k, each of shape (M,).

    Raises:
        ValueError: Shapes do not fit, features are not finite, a k is outside [1, N] or the
            temperature is not positive.

    Example:
        >>> train = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]])
        >>> test = torch.tensor([[2.0, 0.1], [0.1, 3.0]])
        >>> knn_predict(train, torch.tensor([7, 7, 4]), test, k=[1, 3])
        {1: tensor([7, 4]), 3: tensor([7, 4])}
    """
    check_queries(train_features, test_features, temperature)
    if train_labels.shape != train_features.shape[:1]:
        raise ValueError(
            f'train_labels must have shape ({len(train_features)},), got '
            f'{tuple(train_labels.shape)}'
        )
    check_k(k, len(train_features))
    chunk_size = chunk_size or rows_at_once(train_features, max(k))
    return votes_of(
        lambda chunk: nearest_neighbours(train_features, chunk, max(k)),
        train_labels,
        test_features.split(chunk_size),
        k,
        temperature,
    )


def votes_of(
    search: Callable[[Tensor], tuple[Tensor, Tensor]],
    labels: Tensor,
    chunks: Sequence[Tensor],
    k: Sequence[int],
    temperature: float,
) -> dict[int, Tensor]:
    """Classify chunks of test features by the votes of what a search finds.

    Args:
        search: From features (M, D) to the similarities of the largest k training features in
            descending order, float64 (M, k), and their positions in ``labels``, (M, k).
        labels: Classes that vote.
        chunks: Test features.
        k: See :func:`knn_predict`.
        temperature: See :func:`knn_predict`.

    Returns:
        The predicted classes by k.
    """
    votes_at_once = max(1, _CHUNK_ELEMENTS // max(k) ** 2)
    predictions: dict[int, list[Tensor]] = {number: [] for number in k}
    for chunk in chunks:
        similarity, index = search(chunk)
        for near, rows in zip(
            similarity.split(votes_at_once), index.split(votes_at_once), strict=True
        ):
            for number, predicted in _vote(near, labels[rows], k, temperature).items():
                predictions[number].append(predicted)
    return {number: torch.cat(parts) for number, parts in predictions.items()}


def knn_accuracy(
    train_features: Tensor,
    train_labels: Tensor,
    test_features: Tensor,
    test_labels: Tensor,
    k: Sequence[int] = PAPER_KS,
    temperature: float = TEMPERATURE,
    chunk_size: int | None = None,
    average: str = 'micro',
) -> dict[int, float]:
    """Measure the top-1 accuracy of :func:`knn_predict`.

    Args:
        train_features: See :func:`knn_predict`.
        train_labels: See :func:`knn_predict`.
        test_features: See :func:`knn_predict`.
        test_labels: True classes of the test images, shape (M,).
        k: See :func:`knn_predict`.
        temperature: See :func:`knn_predict`.
        chunk_size: See :func:`knn_predict`.
        average: ``'micro'``, the share of images, or ``'macro'``, the mean over classes.

    Returns:
        Accuracy in percent by k.

    Raises:
        ValueError: As :func:`knn_predict`, ``test_labels`` is not of shape (M,), or ``average`` is
            unknown.

    Example:
        >>> train = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]])
        >>> test = torch.tensor([[2.0, 0.1], [0.1, 3.0]])
        >>> knn_accuracy(train, torch.tensor([7, 7, 4]), test, torch.tensor([7, 7]), k=[1])
        {1: 50.0}
    """
    if test_labels.shape != test_features.shape[:1]:
        raise ValueError(
            f'test_labels must have shape ({len(test_features)},), got {tuple(test_labels.shape)}'
        )
    if average not in AVERAGES:
        raise ValueError(f'average must be one of {tuple(AVERAGES)}, got {average!r}')
    predictions = knn_predict(
        train_features, train_labels, test_features, k, temperature, chunk_size
    )
    return {
        number: AVERAGES[average](predicted, test_labels)
        for number, predicted in predictions.items()
    }


def check_queries(train_features: Tensor, test_features: Tensor, temperature: float) -> None:
    """Check what a search compares, as :func:`knn_predict` documents it, or raise a ValueError."""
    train_shape, test_shape = tuple(train_features.shape), tuple(test_features.shape)
    if len(train_shape) != 2 or len(test_shape) != 2 or train_shape[1] != test_shape[1]:
        raise ValueError(
            'train_features and test_features must have shapes (N, D) and (M, D), '
            f'got {train_shape} and {test_shape}'
        )
    if not test_shape[0]:
        raise ValueError(f'test_features has no rows: {test_shape}')
    for name, features in (('train_features', train_features), ('test_features', test_features)):
        rows = features.split(max(1, _CHUNK_ELEMENTS // max(1, features.shape[1])))
        broken = sum(int((~torch.isfinite(part).all(dim=1)).sum()) for part in rows)
        if broken:
            raise ValueError(f'{name} holds NaN or infinity in {broken} of {len(features)} rows')
    if not temperature > 0:
        raise ValueError(f'temperature must be > 0, got {temperature}')


def check_k(ks: Sequence[int], count: int) -> None:
    """Check that numbers of neighbours are within 1…``count``, or raise a ValueError."""
    if not ks:
        raise ValueError('k is empty: give at least one number of neighbours')
    for k in ks:
        if not 1 <= k <= count:
            raise ValueError(
                f'k = {k} neighbours asked of {count} training images: k must be in [1, {count}]'
            )


def _vote(
    similarity: Tensor, labels: Tensor, ks: Sequence[int], temperature: float
) -> dict[int, Tensor]:
    """Find the class with the largest sum of exp(similarity / T) among k neighbours, for each k.

    Each neighbour sums the votes for its own class, (M, k, k). Unlike a histogram over classes,
    this needs neither the number of classes nor atomic additions, whose order varies on a GPU.
    """
    # Softmax without its denominator, which is the same within a row: the nearest one weighs 1.
    weights = ((similarity - similarity[:, :1]) / temperature).exp()
    same_class = (labels[:, :, None] == labels[:, None, :]).double()
    predictions = {}
    for k in ks:
        scores = (same_class[:, :k, :k] @ weights[:, :k, None]).squeeze(-1)
        predictions[k] = labels.gather(1, scores.argmax(dim=1, keepdim=True)).squeeze(1)
    return predictions
