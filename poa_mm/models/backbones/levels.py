"""Which outputs linear probing takes beside the last one (POA's evaluation code, n = 4)."""

from collections.abc import Sequence
from itertools import accumulate

LEVELS = 4


def evenly_spaced(depth: int) -> tuple[int, ...]:
    """Return the blocks of a ViT whose outputs are probed, the last one among them.

    The authors' code takes every fourth part of the depth, where DINOv2 takes the last four blocks.

    Args:
        depth: Number of blocks.

    Returns:
        Positions in ascending order: four, or all of a ViT that has fewer blocks.

    Example:
        >>> evenly_spaced(12), evenly_spaced(24), evenly_spaced(3)
        ((3, 6, 9, 11), (6, 12, 18, 23), (0, 1, 2))
    """
    # The cap keeps positions apart where there are few blocks.
    inner = [min(round(depth * i / LEVELS), depth - 1 - LEVELS + i) for i in range(1, LEVELS)]
    return (*(position for position in inner if position >= 0), depth - 1)


def stage_ends(stage_depths: Sequence[int]) -> tuple[int, ...]:
    """Return the position of each stage's last block, counted over all stages.

    Example:
        >>> stage_ends([2, 2, 6, 2])
        (1, 3, 9, 11)
    """
    return tuple(total - 1 for total in accumulate(stage_depths))
