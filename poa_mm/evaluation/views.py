"""Augmented views of images, the same whatever the batches: what LiDAR compares."""

import math
from random import Random

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ['augmented_views']

SCALE = (0.2, 1.0)  # of the area
RATIO = (3 / 4, 4 / 3)


def augmented_views(images: Tensor, first: int, number: int, seed: int = 0) -> Tensor:
    """Cut random resized crops of images, half of them flipped.

    Args:
        images: Normalised images (B, C, H, W).
        first: Number of the first image in the data set. The crops of an image follow from its
            number and the seed.
        number: Views of each image, q.
        seed: Seed of the crops.

    Returns:
        Views of the same size, (B, q, C, H, W).

    Raises:
        ValueError: ``number`` is below 1.
    """
    if number < 1:
        raise ValueError(f'the number of views must be at least 1, got {number}')
    return torch.stack([_views(image, first + i, number, seed) for i, image in enumerate(images)])


def _views(image: Tensor, index: int, number: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(Random(f'{seed}/{index}').getrandbits(32))
    return torch.stack([_view(image, generator) for _ in range(number)])


def _view(image: Tensor, generator: torch.Generator) -> Tensor:
    """Cut one crop, uniform in area and in the logarithm of the ratio, as is usual."""
    height, width = image.shape[1:]
    area, ratio, top, left, flip = torch.rand(5, generator=generator, dtype=torch.float64).tolist()
    area = (SCALE[0] + area * (SCALE[1] - SCALE[0])) * height * width
    low, high = map(math.log, RATIO)
    ratio = math.exp(low + ratio * (high - low))
    # A side that is too long is cut, so that one draw is enough.
    rows = min(max(round(math.sqrt(area / ratio)), 1), height)
    columns = min(max(round(math.sqrt(area * ratio)), 1), width)
    y, x = int(top * (height - rows + 1)), int(left * (width - columns + 1))
    crop = image[None, :, y : y + rows, x : x + columns].float()
    view = F.interpolate(crop, (height, width), mode='bicubic', antialias=True)[0].to(image.dtype)
    return view.flip(2) if flip < 0.5 else view
