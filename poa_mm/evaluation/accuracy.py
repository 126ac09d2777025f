"""Accuracy per image and per class."""

import torch
from torch import Tensor

__all__ = ['AVERAGES', 'macro_accuracy', 'micro_accuracy']


def micro_accuracy(predicted: Tensor, labels: Tensor) -> float:
    """Return the share of right predictions in percent.

    Args:
        predicted: Predicted classes, (M,).
        labels: True classes, (M,).

    Example:
        >>> micro_accuracy(torch.tensor([0, 0, 0, 1]), torch.tensor([0, 0, 1, 1]))
        75.0
    """
    _check(predicted, labels)
    return 100 * (predicted == labels).double().mean().item()


def macro_accuracy(predicted: Tensor, labels: Tensor) -> float:
    """Return the mean over classes of the share of their images predicted right, in percent.

    Args:
        predicted: Predicted classes, (M,).
        labels: True classes, (M,). Classes without an image do not count.

    Example:
        >>> macro_accuracy(torch.tensor([0, 0, 0, 1]), torch.tensor([0, 0, 0, 2]))
        50.0
    """
    _check(predicted, labels)
    _, which, counts = labels.unique(return_inverse=True, return_counts=True)
    right = torch.zeros(len(counts), dtype=torch.float64, device=labels.device)
    right.index_add_(0, which, (predicted == labels).double())
    return 100 * (right / counts).mean().item()


def _check(predicted: Tensor, labels: Tensor) -> None:
    if predicted.shape != labels.shape or labels.ndim != 1 or not len(labels):
        raise ValueError(
            'predicted and labels must have the same shape (M,) with M > 0, got '
            f'{tuple(predicted.shape)} and {tuple(labels.shape)}'
        )


AVERAGES = {'micro': micro_accuracy, 'macro': macro_accuracy}
