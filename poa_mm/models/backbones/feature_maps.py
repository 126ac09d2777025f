"""Masks and patch tokens of backbones whose maps shrink from stage to stage.

They lie on a grid twice as fine as the last map, as far as it covers the image (see App. C.3).
"""

from collections.abc import Collection

from torch import Tensor


def check_stages(out_indices: Collection[int], stages: int) -> None:
    """Check that ``out_indices`` are among the numbers of ``stages``, or raise a ValueError."""
    several = isinstance(out_indices, Collection) and not isinstance(out_indices, str)
    if not several or not out_indices or not set(out_indices) <= set(range(stages)):
        shown = tuple(out_indices) if several else out_indices
        raise ValueError(f'out_indices must be stages within 0…{stages - 1}, got {shown!r}')


def upsampled_mask(
    masks: Tensor, grid: tuple[int, int], size: tuple[int, int], step: int
) -> Tensor:
    """Upsample masks (B, rows · columns) of a grid to (B, h, w), the finer map of the stem.

    Args:
        masks: bool.
        grid: Rows and columns of the masks.
        size: Rows and columns of the map; what lies beyond it is cut off.
        step: Places of the map that a patch spans in each direction: half of those that a place of
            the last map spans.
    """
    fine = masks.unflatten(1, grid).repeat_interleave(step, dim=1).repeat_interleave(step, dim=2)
    return fine[:, : size[0], : size[1]]


def finer_tokens(x: Tensor, size: tuple[int, int], grid: tuple[int, int]) -> Tensor:
    """Upsample tokens to twice the resolution, nearest neighbour.

    Args:
        x: (B, h·w, D).
        size: h and w.
        grid: Rows and columns of the patches, at most 2h and 2w; what lies beyond is cut off.

    Returns:
        (B, rows · columns, D).
    """
    fine = x.unflatten(1, size).repeat_interleave(2, dim=1).repeat_interleave(2, dim=2)
    return fine[:, : grid[0], : grid[1]].flatten(1, 2)
