"""Few-shot banks: the same number of training images from each class."""

import torch
from torch import Tensor

__all__ = ['few_shot_rows']


def few_shot_rows(labels: Tensor, per_class: int, draw: int = 0) -> Tensor:
    """Draw the same number of training images from each class.

    The draw depends on the labels, ``per_class`` and ``draw`` only, not on the device or the global
    random state. Draws with more images per class contain those with fewer.

    Args:
        labels: Classes of the training images, integers (N,).
        per_class: Images of each class.
        draw: Number of the draw, 0 or more; different numbers give independent draws.

    Returns:
        Rows in ascending order, (classes · ``per_class``,), on the device of ``labels``.

    Raises:
        ValueError: ``per_class`` or ``draw`` is out of range, or a class has fewer images.

    Example:
        >>> labels = torch.tensor([0, 0, 0, 5, 5, 5, 5])
        >>> labels[few_shot_rows(labels, per_class=2)]
        tensor([0, 0, 5, 5])
    """
    if per_class < 1 or draw < 0:
        raise ValueError(
            f'per_class must be positive and draw not negative, got {per_class}, {draw}'
        )
    on_cpu = labels.cpu()
    classes, counts = on_cpu.unique(return_counts=True)
    if (few := counts < per_class).any():
        raise ValueError(
            f'class {int(classes[few][0])} has {int(counts[few][0])} images, '
            f'fewer than the {per_class} asked for'
        )
    generator = torch.Generator().manual_seed(draw)
    order = torch.randperm(len(on_cpu), generator=generator)
    # Stable: within a class, rows stay in random order.
    order = order[on_cpu[order].argsort(stable=True)]
    first = counts.cumsum(0) - counts
    chosen = order[(first[:, None] + torch.arange(per_class)).flatten()]
    return chosen.sort().values.to(labels.device)
