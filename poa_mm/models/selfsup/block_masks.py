"""Block-wise masks for masked patch prediction (iBOT)."""

import math
import random

import torch
from torch import Tensor

MIN_PATCHES = 4  # of one block
MIN_ASPECT = 0.3  # of a block; the largest is its inverse
MAX_TRIES = 10  # to place a block, before an image is left with fewer masked patches


class BlockMasks:
    """Draw which patches of which global views are masked.

    A share of the views is masked at all. Their ratios are spread over the range, one interval a
    view, so that every batch has lightly and heavily masked views. The patches are covered by
    rectangles of random shape, each reaching any row and column, until the number is met or no
    rectangle fits any more.

    The masks are a pure function of seed, rank and step, like the sub-networks: a resumed run goes
    on with the masks that it would have had.

    Args:
        ratio: Range of the share of a view's patches that is masked.
        probability: Share of the views that are masked.
        seed: Seed of the draws.

    Raises:
        ValueError: A ratio outside 0 < low <= high < 1, or a probability outside 0…1.
    """

    def __init__(
        self, ratio: tuple[float, float] = (0.1, 0.5), probability: float = 0.5, seed: int = 0
    ) -> None:
        if len(ratio) != 2 or not 0 < ratio[0] <= ratio[1] < 1:
            raise ValueError(
                f'mask_ratio must be (low, high) with 0 < low <= high < 1, got {ratio}'
            )
        if not 0 <= probability <= 1:
            raise ValueError(f'mask_prob must be within 0…1, got {probability}')
        self.ratio = tuple(ratio)
        self.probability = probability
        self.seed = seed

    def __call__(self, num_views: int, grid: tuple[int, int], step: int, rank: int = 0) -> Tensor:
        """Draw the masks of the global views of a step.

        Args:
            num_views: Number of global views on this rank, 2B.
            grid: Rows and columns of patches.
            step: Number of the training step.
            rank: Rank of this process.

        Returns:
            Masks (num_views, rows · columns) bool on the CPU; True is masked.
        """
        rng = random.Random(f'{self.seed}/{rank}/{step}/masks')
        masks = torch.zeros(num_views, *grid, dtype=torch.bool)
        num_masked = int(num_views * self.probability)
        low, high = self.ratio
        width = (high - low) / max(num_masked, 1)
        for index, view in enumerate(rng.sample(range(num_views), num_masked)):
            share = rng.uniform(low + index * width, low + (index + 1) * width)
            masks[view] = block_mask(grid, int(share * math.prod(grid)), high, rng)
        return masks.flatten(1)


def block_mask(
    grid: tuple[int, int], num_patches: int, max_share: float, rng: random.Random
) -> Tensor:
    """Draw a mask (rows, columns) bool of up to ``num_patches`` patches, made of rectangles.

    Args:
        grid: Rows and columns of patches.
        num_patches: Number of patches to mask.
        max_share: Largest share of the grid that one rectangle may add.
        rng: Where the draws come from.
    """
    rows, columns = grid
    mask = [0] * rows  # each row as the bits of its columns: counting needs no tensors
    masked = 0
    while masked < num_patches:
        limit = min(num_patches - masked, int(max_share * rows * columns))
        added = _add_rectangle(mask, columns, limit, rng)
        if not added:
            break
        masked += added
    bits = [[row >> column & 1 for column in range(columns)] for row in mask]
    return torch.tensor(bits, dtype=torch.bool)


def _add_rectangle(mask: list[int], columns: int, limit: int, rng: random.Random) -> int:
    """Mask one more rectangle that adds 1 to ``limit`` patches; return how many it adds."""
    rows = len(mask)
    for _ in range(MAX_TRIES):
        area = rng.uniform(min(MIN_PATCHES, limit), limit)
        aspect = math.exp(rng.uniform(math.log(MIN_ASPECT), -math.log(MIN_ASPECT)))
        height, width = (round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect)))
        if not (0 < height <= rows and 0 < width <= columns):
            continue
        top, left = rng.randint(0, rows - height), rng.randint(0, columns - width)
        block = ((1 << width) - 1) << left
        added = sum((block & ~mask[row]).bit_count() for row in range(top, top + height))
        if 0 < added <= limit:
            for row in range(top, top + height):
                mask[row] |= block
            return added
    return 0
