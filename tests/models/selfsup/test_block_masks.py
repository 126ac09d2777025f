"""Properties of the masks for every grid, ratio and batch."""

import math
import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from poa_mm.models.selfsup.block_masks import BlockMasks, block_mask

GRID = (14, 14)


def counts(masks):
    return masks.sum(dim=1).tolist()


@settings(deadline=None, max_examples=50)
@given(
    st.integers(1, 20),
    st.tuples(st.integers(1, 16), st.integers(1, 16)),
    st.floats(0, 1),
    st.tuples(st.floats(0.05, 0.9), st.floats(0.05, 0.9)).map(sorted),
    st.integers(0, 5),
)
def test_shape_share_and_ratios(views, grid, probability, ratio, step):
    masks = BlockMasks(tuple(ratio), probability)(views, grid, step)
    assert masks.shape == (views, math.prod(grid))
    assert masks.dtype == torch.bool
    masked = [count for count in counts(masks) if count]
    assert len(masked) <= int(views * probability)
    assert all(count <= ratio[1] * math.prod(grid) for count in masked)


def test_the_batch_holds_light_and_heavy_masks():
    """Of 40 views 20 are masked, one in each twentieth of the range 0.1…0.5."""
    masks = BlockMasks()(40, GRID, step=0)
    shares = sorted(count / 196 for count in counts(masks) if count)
    assert len(shares) == 20
    for index, share in enumerate(shares):
        upper = 0.1 + 0.02 * (index + 1)
        assert share <= upper
        # The last rectangle may find no room, so a mask may stay a few patches behind.
        assert share > upper - 0.02 - 10 / 196


def test_every_patch_can_be_masked_the_last_row_and_column_too():
    draws = BlockMasks()
    total = sum(draws(100, GRID, step).sum(dim=0) for step in range(20)).view(GRID)
    assert total.min() > 0
    # No side is at a disadvantage: opposite edges are masked equally often, up to chance.
    for a, b in ((total[0], total[-1]), (total[:, 0], total[:, -1])):
        assert 0.7 < (a.sum() / b.sum()).item() < 1.4


def test_masks_are_made_of_blocks():
    """Most masked patches have a masked neighbour to the right, unlike scattered ones."""
    masks = torch.cat([BlockMasks((0.3, 0.3), 1.0)(50, GRID, step) for step in range(4)])
    grid = masks.view(-1, *GRID)
    neighbours = (grid[:, :, :-1] & grid[:, :, 1:]).sum() / grid[:, :, :-1].sum()
    assert neighbours > 0.7  # scattered: 0.3


def test_masks_are_a_function_of_seed_rank_and_step():
    draws = BlockMasks(seed=1)
    assert torch.equal(draws(8, GRID, 3, rank=1), BlockMasks(seed=1)(8, GRID, 3, rank=1))
    variants = [
        draws(8, GRID, 3),
        draws(8, GRID, 4),
        draws(8, GRID, 3, rank=1),
        BlockMasks(seed=2)(8, GRID, 3),
    ]
    assert len({tuple(mask.flatten().tolist()) for mask in variants}) == 4


def test_global_randomness_is_left_alone():
    state, torch_state = random.getstate(), torch.get_rng_state()
    BlockMasks()(8, GRID, 0)
    assert random.getstate() == state
    assert torch.equal(torch.get_rng_state(), torch_state)


def test_one_mask_meets_its_number_when_there_is_room():
    rng = random.Random(0)
    for number in (1, 4, 50, 98):
        masks = [block_mask(GRID, number, 0.5, rng) for _ in range(50)]
        reached = [int(mask.sum()) for mask in masks]
        assert max(reached) == number
        assert sum(reached) / len(reached) > 0.9 * number


@pytest.mark.parametrize('ratio', [(0.0, 0.5), (0.5, 0.1), (0.1, 1.0), (0.1,)])
def test_wrong_ratios(ratio):
    with pytest.raises(ValueError, match='mask_ratio must be'):
        BlockMasks(ratio)
