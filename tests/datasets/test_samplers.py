"""The stream of images: its order, its share-out over ranks, and where it goes on."""

import itertools
import pickle
import time

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from poa_mm.datasets import EpochSampler, MultiCrop, PositionSampler, SampleIndex


def sampler(size=10, rank=0, world_size=1, seed=3, **kwargs):
    made = PositionSampler(range(size), seed=seed, **kwargs)
    made.rank, made.world_size = rank, world_size
    return made


def take(made, number):
    return list(itertools.islice(made, number))


@given(st.integers(1, 30), st.integers(0, 5))
def test_each_pass_is_another_permutation(size, seed):
    indices = take(sampler(size, seed=seed), 3 * size)
    passes = [indices[start : start + size] for start in (0, size, 2 * size)]
    assert all(sorted(indices) == list(range(size)) for indices in passes)
    if size > 8:  # else two orders may agree by chance
        assert passes[0] != passes[1] != passes[2]
    assert [index.position for index in indices] == list(range(3 * size))


@given(st.integers(1, 4), st.integers(0, 50))
def test_ranks_share_one_stream_and_skip_goes_on_in_it(world_size, skipped):
    whole = take(sampler(), 400)
    for rank in range(world_size):
        made = sampler(rank=rank, world_size=world_size)
        made.skip(skipped)
        expected = whole[rank::world_size][skipped : skipped + 20]
        got = take(made, 20)
        assert got == expected
        assert [i.position for i in got] == [i.position for i in expected]


def test_a_far_position_costs_nothing():
    made = sampler(size=1000)
    made.skip(10**12)
    start = time.perf_counter()
    assert take(made, 1)[0].position == 10**12
    assert time.perf_counter() - start < 5  # a walk there would take days


def test_without_shuffling_the_order_is_that_of_the_data():
    assert take(sampler(3, shuffle=False), 7) == [0, 1, 2, 0, 1, 2, 0]


def test_the_seed_decides_the_order():
    assert take(sampler(100), 100) == take(sampler(100), 100)
    assert take(sampler(100), 100) != take(sampler(100, seed=4), 100)


def test_skipping_backwards():
    with pytest.raises(ValueError, match='num_samples must not be negative, got -1'):
        sampler().skip(-1)


def test_an_index_survives_the_queue_of_a_worker():
    index = pickle.loads(pickle.dumps(SampleIndex(4, position=17, run_seed=3)))
    assert (index, index.position, index.run_seed) == (4, 17, 3)
    assert index.seed() == SampleIndex(5, position=17, run_seed=3).seed()
    assert index.seed() != SampleIndex(4, position=18, run_seed=3).seed()
    assert index.seed() != SampleIndex(4, position=17, run_seed=4).seed()


def crops(index):
    generator = np.random.default_rng(0)
    image = generator.integers(0, 256, (64, 64, 3), dtype=np.uint8)
    transform = MultiCrop(32, 16, num_local=2, blur_sigma=(0.1, 1.0))
    return torch.cat(
        [crop.flatten() for crop in transform({'img': image, 'sample_idx': index})['img']]
    )


def test_crops_are_a_function_of_the_position():
    torch.manual_seed(0)
    first = crops(SampleIndex(0, 5, 3))
    torch.manual_seed(1)
    assert torch.equal(crops(SampleIndex(0, 5, 3)), first)
    assert not torch.equal(crops(SampleIndex(0, 6, 3)), first)
    assert not torch.equal(crops(SampleIndex(0, 5, 4)), first)


def test_torch_s_generator_is_left_alone_and_used_without_a_position():
    torch.manual_seed(0)
    state = torch.get_rng_state()
    crops(SampleIndex(0, 5, 3))
    assert torch.equal(torch.get_rng_state(), state)
    plain = crops(0)
    assert not torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(0)
    assert torch.equal(crops(0), plain)


def epoch(number, size=12, rank=0, world_size=1, **kwargs):
    made = EpochSampler(range(size), seed=3, **kwargs)
    made.rank, made.world_size = rank, world_size
    made.num_samples = -(-size // world_size)
    made.total_size = made.num_samples * world_size
    made.set_epoch(number)
    return list(made)


@given(st.integers(1, 5), st.integers(1, 4), st.integers(1, 30), st.integers(0, 9))
def test_repeats_are_spread_over_ranks(repeats, world_size, size, number):
    """An epoch is as long as without; other positions give each copy a crop of its own."""
    ranks = [epoch(number, size, r, world_size, num_repeats=repeats) for r in range(world_size)]
    assert all(len(indices) == -(-size // world_size) for indices in ranks)
    stream = [index for step in zip(*ranks, strict=True) for index in step]
    once = epoch(number, size)
    assert stream[:size] == [image for image in once for _ in range(repeats)][:size]
    positions = [index.position for index in stream]
    assert positions == list(range(number * len(stream), (number + 1) * len(stream)))


def test_epochs_repeat_other_images():
    parts = [set(epoch(number, num_repeats=3)) for number in range(20)]
    assert all(len(part) == 4 for part in parts)
    assert set.union(*parts) == set(range(12))
    with pytest.raises(ValueError, match='num_repeats must be at least 1, got 0'):
        EpochSampler(range(4), num_repeats=0)


def epoch_of(number, size=10, rank=0, world_size=1, **kwargs):
    made = EpochSampler(range(size), seed=3, **kwargs)
    made.rank, made.world_size = rank, world_size
    made.num_samples = -(-size // world_size)
    made.total_size = made.num_samples * world_size
    made.set_epoch(number)
    return list(made)


@given(st.integers(1, 20), st.integers(0, 5), st.integers(1, 4))
def test_an_epoch_is_one_pass_on_any_number_of_ranks(size, number, world_size):
    ranks = [epoch_of(number, size, rank, world_size) for rank in range(world_size)]
    assert len({len(part) for part in ranks}) == 1
    whole = [index for together in zip(*ranks, strict=True) for index in together]
    assert whole[:size] == epoch_of(number, size)
    assert sorted(whole[:size]) == list(range(size))
    assert whole[size:] == whole[: len(whole) - size]  # filled up by the first ones
    first = number * len(whole)
    assert [i.position for i in whole] == list(range(first, first + len(whole)))


def test_epochs_have_other_orders_and_random_numbers():
    one, two = epoch_of(0), epoch_of(1)
    assert one != two
    assert len({index.seed() for index in one + two}) == 20
    assert epoch_of(1, shuffle=False) == list(range(10))
