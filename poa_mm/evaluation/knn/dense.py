"""Segmentation by the nearest patches: k-NN on patch tokens, without training.

The protocol of Balažević et al. [0]_: patches of labelled images form a bank; each has the shares
that classes have of its pixels. A patch of another image takes the shares of its k most similar
ones, weighted by a softmax over cosine similarity / T, with k = 30 and T = 0.02. Shares are
upsampled to the pixels bilinearly, and the largest one is the class.

.. [0] Balažević et al., Towards In-Context Scene Understanding, NeurIPS 2023, Sec. 3.
   https://arxiv.org/abs/2306.01667
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from poa_mm.evaluation.knn.neighbours import nearest_neighbours, rows_at_once
from poa_mm.evaluation.knn.votes import check_k, check_queries

__all__ = [
    'IGNORED',
    'PatchBank',
    'class_shares',
    'confusion_matrix',
    'iou_scores',
    'mean_iou',
    'pixel_classes',
]

PAPER_K, PAPER_TEMPERATURE = 30, 0.02
IGNORED = 255  # label of pixels that do not count


def class_shares(
    mask: Tensor, grid: tuple[int, int], num_classes: int, ignored: int = IGNORED
) -> Tensor:
    """Compute what share of each patch's labelled pixels has which class.

    Args:
        mask: Labels of an image, integers (H, W), of any size: patches divide it evenly, and a
            pixel belongs to the patch that its upper left corner lies in.
        grid: Rows and columns of the patches.
        num_classes: Number of classes C; labels are 0…C − 1 or ``ignored``.
        ignored: Label of pixels that do not count.

    Returns:
        Shares by patch, row by row, float32 (rows · columns, C). They sum to 1, or are all 0 for a
        patch without a labelled pixel.

    Raises:
        ValueError: A label is out of range, or there are fewer pixels than patches.

    Example:
        >>> mask = torch.tensor([[0, 0, 1, 255], [0, 1, 255, 255]])
        >>> class_shares(mask, (1, 2), num_classes=2)
        tensor([[0.7500, 0.2500],
                [0.0000, 1.0000]])
    """
    (height, width), (rows, columns) = mask.shape, grid
    if height < rows or width < columns:
        raise ValueError(f'a mask of {height} × {width} has fewer pixels than {rows} × {columns}')
    mask = mask.long()
    labelled = mask != ignored
    wrong = labelled & ((mask < 0) | (mask >= num_classes))
    if wrong.any():
        raise ValueError(
            f'the mask has label {int(mask[wrong][0])}: labels are 0…{num_classes - 1}, or '
            f'{ignored} for pixels that do not count'
        )
    row = torch.arange(height, device=mask.device) * rows // height
    column = torch.arange(width, device=mask.device) * columns // width
    place = (row[:, None] * columns + column) * num_classes + mask
    counts = place[labelled].bincount(minlength=rows * columns * num_classes)
    counts = counts.view(rows * columns, num_classes).double()
    return (counts / counts.sum(dim=1, keepdim=True).clamp_min(1)).float()


class PatchBank(NamedTuple):
    """Patches with labels.

    Attributes:
        features: Patch tokens (P, D), of any floating-point type; not normalised.
        shares: Of classes, (P, C), as :func:`class_shares` computes them.

    Example:
        >>> bank = PatchBank(torch.eye(2), torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
        >>> bank.vote(torch.tensor([[3.0, 0.1]]), k=1)
        {1: tensor([[1., 0.]], dtype=torch.float64)}
    """

    features: Tensor
    shares: Tensor

    def vote(
        self,
        queries: Tensor,
        k: Sequence[int] | int = PAPER_K,
        temperature: float = PAPER_TEMPERATURE,
        chunk_size: int | None = None,
    ) -> dict[int, Tensor]:
        """Take the class shares of the nearest patches.

        Args:
            queries: Patch tokens (Q, D), on the device of the bank.
            k: Numbers of neighbours; one search serves all of them.
            temperature: T of the softmax over similarity / T.
            chunk_size: Queries compared at once; it does not change the shares.

        Returns:
            Shares of classes by k, float64 (Q, C).

        Raises:
            ValueError: Shapes do not fit, features are not finite, a k is outside 1…P, or the
                temperature is not positive.
        """
        ks = (k,) if isinstance(k, int) else tuple(k)
        check_queries(self.features, queries, temperature)
        if self.shares.ndim != 2 or len(self.shares) != len(self.features):
            raise ValueError(
                f'shares must have shape ({len(self.features)}, C), got {tuple(self.shares.shape)}'
            )
        check_k(ks, len(self.features))
        size = chunk_size or rows_at_once(self.features, max(ks))
        votes: dict[int, list[Tensor]] = {number: [] for number in ks}
        for chunk in queries.split(size):
            similarity, index = nearest_neighbours(self.features, chunk, max(ks))
            for number, shares in self._summed(similarity, index, ks, temperature):
                votes[number].append(shares)
        return {number: torch.cat(votes[number]) for number in ks}

    def _summed(
        self, similarity: Tensor, index: Tensor, ks: Sequence[int], temperature: float
    ) -> Iterator[tuple[int, Tensor]]:
        """Add the shares of one neighbour after the other, and yield the mean at each k.

        Neither the shares of all neighbours are in memory at once, nor does the result depend on
        the number of queries, as that of a matrix product can.
        """
        weights = ((similarity - similarity[:, :1]) / temperature).exp()
        total = weights.new_zeros(len(weights), self.shares.shape[1])
        for number in range(1, max(ks) + 1):
            nearest = self.shares[index[:, number - 1]].double()
            total += weights[:, number - 1, None] * nearest
            if number in ks:
                yield number, total / weights[:, :number].sum(dim=1, keepdim=True)


def pixel_classes(shares: Tensor, grid: tuple[int, int], size: tuple[int, int]) -> Tensor:
    """Upsample class shares of patches bilinearly, and take the largest one of each pixel.

    Args:
        shares: Of one image, (rows · columns, C).
        grid: Rows and columns of the patches.
        size: Height and width of the image.

    Returns:
        Classes of the pixels, (H, W).
    """
    present = shares.sum(dim=0).nonzero().flatten()  # an image has few of all classes
    grid_map = shares[:, present].view(1, *grid, -1).permute(0, 3, 1, 2).float()
    fine = F.interpolate(grid_map, size, mode='bilinear', align_corners=False)
    return present[fine[0].permute(1, 2, 0).argmax(dim=-1)]  # channels lie last: much faster


def confusion_matrix(
    predicted: Tensor, labels: Tensor, num_classes: int, ignored: int = IGNORED
) -> Tensor:
    """Count pixels by their label and what was predicted.

    Args:
        predicted: Classes of pixels, integers of any shape.
        labels: Their labels, of the same shape.
        num_classes: Number of classes C.
        ignored: Label of pixels that do not count.

    Returns:
        int64 (C, C): labels by row, predictions by column.

    Example:
        >>> confusion_matrix(torch.tensor([0, 1, 1]), torch.tensor([0, 0, 255]), num_classes=2)
        tensor([[1, 1],
                [0, 0]])
    """
    counted = labels != ignored
    place = labels[counted].long() * num_classes + predicted[counted].long()
    return place.bincount(minlength=num_classes**2).view(num_classes, num_classes)


def iou_scores(confusion: Tensor) -> Tensor:
    """Compute the intersection over union of each class in percent.

    Args:
        confusion: Of :func:`confusion_matrix`, summed over images.

    Returns:
        float64 (C,); NaN for classes that are neither labelled nor predicted.
    """
    counts = confusion.double()
    hits = counts.diagonal()
    return 100 * hits / (counts.sum(dim=0) + counts.sum(dim=1) - hits)


def mean_iou(confusion: Tensor) -> float:
    """Compute the mean over classes of :func:`iou_scores`, as mmseg does.

    Example:
        >>> mean_iou(torch.tensor([[1, 1, 0], [0, 2, 0], [0, 0, 0]]))
        58.33333333333333
    """
    return float(iou_scores(confusion).nanmean())
