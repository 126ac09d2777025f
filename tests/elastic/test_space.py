"""Sub-networks and their space: Eq. 4, Eq. 14, names."""

import copy
import itertools
import pickle
import random
from collections import Counter

import numpy as np
import pytest
import torch

from poa_mm.elastic import SearchSpace, Subnet, active_blocks

VIT_L = SearchSpace(range(384, 1025, 64), range(12, 25), names={'vit-s': Subnet(384, 12)})


def test_active_blocks_of_the_paper():
    assert active_blocks(12, 24) == (0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 23)
    assert active_blocks(1, 24) == (0,)
    assert active_blocks(3, 3) == (0, 1, 2)


def test_active_blocks_are_spread_over_the_whole_network():
    for depth, max_depth in itertools.combinations_with_replacement(range(2, 41), 2):
        blocks = active_blocks(depth, max_depth)
        assert (blocks[0], blocks[-1]) == (0, max_depth - 1)
        assert list(blocks) == sorted(set(blocks))
        # floor: a block never lies behind its even position, nor a whole block before it
        even = [(max_depth - 1) * j / (depth - 1) for j in range(depth)]
        assert all(0 <= position - block < 1 for position, block in zip(even, blocks, strict=True))


@pytest.mark.parametrize('depth', [0, 25])
def test_active_blocks_outside_the_network(depth):
    with pytest.raises(ValueError, match=f'depth {depth} is outside 1…24'):
        active_blocks(depth, 24)


@pytest.mark.parametrize(
    ('width_step', 'depth_step', 'members'),
    [(64, 1, 143), (128, 2, 42), (192, 3, 20), (192, 4, 16)],
)
def test_number_of_members_for_the_intervals_of_table_19(width_step, depth_step, members):
    space = SearchSpace(range(384, 1025, width_step), range(12, 25, depth_step))
    assert len(space) == len(set(space)) == members


def test_axes_of_the_coarse_intervals_of_table_19():
    widths = (384, 576, 768, 960)  # 1024 is no multiple of the interval: the intact one is apart
    for interval, depths in ((3, (12, 15, 18, 21, 24)), (4, (12, 16, 20, 24))):
        space = SearchSpace(range(384, 1025, 192), range(12, 25, interval), intact=Subnet(1024, 24))
        assert (space.widths, space.depths) == (widths, depths)
        assert {(s.width, s.depth) for s in space.candidates} == {
            (width, depth) for width in widths for depth in depths
        }


def test_order_and_lookup():
    sizes = [subnet.depth * subnet.width**2 for subnet in VIT_L]
    assert sizes == sorted(sizes)
    assert VIT_L[0] == VIT_L.smallest == VIT_L['smallest'] == VIT_L['vit-s'] == Subnet(384, 12)
    assert VIT_L[-1] == VIT_L.largest == VIT_L['largest'] == VIT_L['w1024-d24']
    assert str(VIT_L['w448-d13']) == 'w448-d13'
    assert VIT_L.resolve(None) == Subnet(1024, 24)


@pytest.mark.parametrize('name', ['vit-x', 'w400-d12', 'w384-d11', '', 'w384'])
def test_unknown_names_list_the_valid_ones(name):
    with pytest.raises(ValueError, match=r'vit-s, smallest, largest.*384, 448.*12, 13') as error:
        VIT_L[name]
    assert repr(name) in str(error.value)


def test_unknown_subnet_and_type():
    with pytest.raises(ValueError, match='no sub-network w32-d2'):
        VIT_L.resolve(Subnet(32, 2))
    with pytest.raises(TypeError, match=r'3\.5'):
        VIT_L.resolve(3.5)


def test_weights_are_those_of_equation_14():
    space = SearchSpace([32, 48, 64], [2, 4], gamma=3)
    # s_ij = [1 + (γ − 1)(M − i)/(M − 1)] · [1 + (γ − 1)(N − j)/(N − 1)] by hand for M = 3, N = 2
    by_hand = {(32, 2): 9, (32, 4): 3, (48, 2): 6, (48, 4): 2, (64, 2): 3, (64, 4): 1}
    assert {(s.width, s.depth): space.weight(s) for s in space} == by_hand
    drawn = {s: by_hand[s.width, s.depth] / 23 for s in space.candidates}  # without the intact one
    assert dict(zip(space.candidates, space.probabilities(), strict=True)) == pytest.approx(drawn)


def test_an_axis_of_one_value_weighs_one():
    space = SearchSpace([64], [2, 4], gamma=3)
    assert [space.weight(subnet) for subnet in space] == [3, 1]


@pytest.mark.parametrize(
    'rng', [random.Random(0), np.random.default_rng(0), torch.Generator().manual_seed(0)]
)
def test_sampling_follows_the_probabilities(rng):
    space = SearchSpace([32, 48, 64], [2, 4])
    draws = 4000
    counts = Counter(space.sample(rng) for _ in range(draws))
    assert space.intact not in counts
    for subnet, probability in zip(space.candidates, space.probabilities(), strict=True):
        deviation = (draws * probability * (1 - probability)) ** 0.5
        assert abs(counts[subnet] - draws * probability) < 4 * deviation


def test_an_intact_network_outside_the_grid():
    space = SearchSpace([384, 576], [12, 24], intact=Subnet(1024, 24))
    assert space.largest in space.candidates
    assert space['w1024-d24'] == space.resolve(None) == Subnet(1024, 24)
    assert len(space.candidates) == len(space) == 4


def test_copies_are_equal():
    for twin in (copy.deepcopy(VIT_L), pickle.loads(pickle.dumps(VIT_L))):
        assert list(twin) == list(VIT_L)
        assert twin['vit-s'] == VIT_L['vit-s']


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ({'widths': [], 'depths': [2]}, 'widths is empty'),
        ({'widths': [32, 32], 'depths': [2]}, 'twice'),
        ({'widths': [32], 'depths': [0]}, r'depths must be positive integers, got \[0\]'),
        ({'widths': [32], 'depths': [2.5]}, r'\[2.5\]'),
        ({'widths': [32], 'depths': [2], 'gamma': 0.5}, 'gamma'),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        SearchSpace(**arguments)


def test_nothing_to_draw():
    with pytest.raises(ValueError, match='nothing to draw'):
        SearchSpace([64], [4]).sample(random.Random(0))


@pytest.mark.parametrize('gamma', [1, 2, 2.5, 3])
@pytest.mark.parametrize(('widths', 'depths'), [([6, 2, 4], [1, 2, 5, 3]), ([2], [4, 9])])
def test_weights_of_any_space(widths, depths, gamma):
    space = SearchSpace(widths, depths, gamma=gamma)
    num_widths, num_depths = len(widths), len(depths)
    for i, width in enumerate(sorted(widths), start=1):
        for j, depth in enumerate(sorted(depths), start=1):
            expected = 1.0
            if num_widths > 1:
                expected *= 1 + (gamma - 1) * (num_widths - i) / (num_widths - 1)
            if num_depths > 1:
                expected *= 1 + (gamma - 1) * (num_depths - j) / (num_depths - 1)
            assert space.weight(Subnet(width, depth)) == pytest.approx(expected, rel=1e-12)


def test_probabilities_of_the_vit_l_space():
    probabilities = dict(zip(VIT_L.candidates, VIT_L.probabilities(), strict=True))
    assert len(probabilities) == 142
    assert sum(probabilities.values()) == pytest.approx(1, rel=1e-12)
    assert VIT_L.weight(VIT_L.smallest) / VIT_L.weight(VIT_L.largest) == pytest.approx(3**2)
    assert max(probabilities, key=probabilities.get) == VIT_L.smallest


def test_a_space_is_a_sequence():
    assert VIT_L[:2] == (Subnet(384, 12), Subnet(384, 13))
    assert Subnet(448, 13) in VIT_L
    assert Subnet(448, 25) not in VIT_L
    assert next(reversed(VIT_L)) == VIT_L[142]
    assert VIT_L.index(VIT_L.largest) == 142
    with pytest.raises(IndexError):
        VIT_L[143]


def test_order_follows_the_given_size():
    by_depth_first = SearchSpace([1, 2], [1, 2], size=lambda subnet: 10 * subnet.depth)
    assert [str(subnet) for subnet in by_depth_first] == ['w1-d1', 'w2-d1', 'w1-d2', 'w2-d2']


def test_names_outside_the_space_are_dropped():
    assert set(SearchSpace([64], [2], names={'vit-s': Subnet(384, 12)}).names) == {
        'smallest',
        'largest',
    }


def test_sub_networks_are_values():
    assert len({Subnet(384, 12), Subnet(width=384, depth=12)}) == 1
    with pytest.raises(AttributeError):
        Subnet(384, 12).width = 768


def test_gamma_must_be_a_number():
    with pytest.raises(ValueError, match='gamma'):
        SearchSpace([32], [2], gamma=float('nan'))


def test_the_intact_network_keeps_its_name_outside_the_grid():
    vit_l = Subnet(1024, 24)
    space = SearchSpace([384, 576], [12, 24], intact=vit_l, names={'vit-l': vit_l})
    assert space['vit-l'] == space['w1024-d24'] == vit_l


def test_positions_of_numpy():
    assert VIT_L[np.int64(-1)] == VIT_L.largest
