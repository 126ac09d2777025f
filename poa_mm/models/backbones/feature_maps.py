"""Masks and patch tokens of backbones whose maps shrink from stage to stage (paper App. C.3).

They live on a grid twice as fine as the last map.
"""

from torch import Tensor


def upsampled_mask(masks: Tensor, grid: tuple[int, int], size: tuple[int, int]) -> Tensor:
    """Masks (B, rows · columns) of a grid as (B, h, w) of the finer map of the stem.

    Args:
        masks: bool.
        grid: Rows and columns of the masks.
        size: Rows and columns of the map; each patch covers a whole number of places, and what
            lies beyond the map is cut off.
    """
    steps = [-(-length // number) for length, number in zip(size, grid, strict=True)]
    fine = masks.unflatten(1, grid)
    fine = fine.repeat_interleave(steps[0], dim=1).repeat_interleave(steps[1], dim=2)
    return fine[:, : size[0], : size[1]]


def finer_tokens(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Tokens (B, h·w, D) at twice the resolution, nearest neighbour: (B, 2h·2w, D)."""
    grid = x.unflatten(1, size)
    return grid.repeat_interleave(2, dim=1).repeat_interleave(2, dim=2).flatten(1, 2)
