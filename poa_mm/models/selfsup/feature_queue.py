"""A queue of the teacher's features of earlier images, the same on all ranks."""

import torch
import torch.nn.functional as F
from mmengine import dist
from torch import Tensor, nn

SEED = 0  # of the features that fill a new queue


class FeatureQueue(nn.Module):
    """The latest features of a teacher; checkpoints hold it, with the place of its oldest one.

    It starts with random directions, always the same ones, as SEED's queue starts with random ones.

    Args:
        size: Number of features.
        width: Their dimension.

    Raises:
        ValueError: ``size`` below 1.
    """

    features: Tensor
    pointer: Tensor

    def __init__(self, size: int, width: int) -> None:
        super().__init__()
        if size < 1:
            raise ValueError(f'queue_size must be at least 1, got {size}')
        generator = torch.Generator().manual_seed(SEED)
        start = torch.randn(size, width, generator=generator)
        self.register_buffer('features', F.normalize(start, dim=-1))
        self.register_buffer('pointer', torch.zeros((), dtype=torch.long))

    @torch.no_grad()
    def push(self, views: Tensor) -> None:
        """Replace the oldest features by those of the batches of all ranks.

        They come in the order that one process with all of these images would have them in: view 1
        of the images of rank 0, 1, …, then view 2.

        Args:
            views: L2-normalised features of this rank's images, (V, B, D); B is that of all ranks.
        """
        gathered = torch.stack(dist.all_gather(views.contiguous()), dim=1)
        size = len(self.features)
        newest = gathered.flatten(0, 2)[-size:].to(self.features.dtype)
        places = (self.pointer + torch.arange(len(newest), device=newest.device)) % size
        self.features[places] = newest
        self.pointer.copy_((self.pointer + len(newest)) % size)
