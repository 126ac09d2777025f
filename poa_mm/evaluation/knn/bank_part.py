"""The patches that one process finds for dense k-NN, and how processes join theirs."""

import torch
from mmengine import dist
from torch import Tensor

from poa_mm.evaluation.knn.dense import PatchBank
from poa_mm.evaluation.ranks import gather_rows

__all__ = ['BankPart']


class BankPart:
    """Labelled patches of some of the training images.

    Args:
        num_classes: Number of classes C.
        images: Number of training images of all processes.
    """

    def __init__(self, num_classes: int, images: int) -> None:
        self.counts = torch.zeros(images, dtype=torch.int64)
        self.images: list[int] = []
        self.features: list[Tensor] = []
        self.shares: list[Tensor] = [torch.empty(0, num_classes)]

    def add(self, image: int, features: Tensor, shares: Tensor) -> None:
        """Add the patches of an image: features (P, D) and shares of classes (P, C)."""
        self.counts[image] = len(features)
        self.images.append(image)
        self.features.append(features)
        self.shares.append(shares)

    def bank(self) -> PatchBank:
        """Return these patches as a bank."""
        return PatchBank(torch.cat(self.features), torch.cat(self.shares))

    def gathered(self, width: int) -> PatchBank:
        """Return the patches of all processes, in the order of their images.

        All processes call this, and get the bank that a single one would have, to the bit.

        Args:
            width: Channels D of the features, which a process without an image cannot tell.
        """
        counts = torch.stack(dist.all_gather(self.counts)).sum(dim=0)
        ends = counts.cumsum(0)
        rows = [torch.arange(int(ends[n] - counts[n]), int(ends[n])) for n in self.images]
        mine = torch.cat([torch.empty(0, dtype=torch.int64), *rows])
        features = torch.cat([torch.empty(0, width), *self.features])
        total = int(ends[-1])
        return PatchBank(
            gather_rows(features, mine, total), gather_rows(torch.cat(self.shares), mine, total)
        )
