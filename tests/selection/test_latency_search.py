"""Finding the best sub-network that is fast enough: against timing all of them, and how many."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poa_mm.elastic import Subnet
from poa_mm.selection.latency_search import LatencySearch

STAGES = [(3, second, third, 3) for second in range(4, 9) for third in range(6, 37)]
RESNETS = [Subnet(width, depth) for width in (64, 96, 128) for depth in STAGES]  # 465
VITS = [Subnet(width, depth) for width in range(384, 1025, 64) for depth in range(12, 25)]  # 143
# What latencies follow: work, as on a CPU, or steps that wait for one another, as on a GPU.
LAWS = {
    'work': lambda subnet: subnet.num_blocks * subnet.width**2,
    'steps': lambda subnet: subnet.num_blocks,
    'both': lambda subnet: subnet.num_blocks * (1e4 + subnet.width**2),
}


def flops_of(members):
    """By sub-network, from the largest down."""
    work = {member: LAWS['work'](member) for member in members}
    return dict(sorted(work.items(), key=lambda item: item[1], reverse=True))


@pytest.mark.parametrize('law', LAWS)
@pytest.mark.parametrize('members', [RESNETS, VITS], ids=['resnet', 'vit'])
@settings(deadline=None, max_examples=30)
@given(share=st.floats(0, 1))
def test_it_is_the_best_of_all_and_few_are_timed(law, members, share):
    flops, latency = flops_of(members), LAWS[law]
    least, most = min(map(latency, members)), max(map(latency, members))
    search = LatencySearch(latency, least + share * (most - least))
    assert search.run(flops) == next(s for s in flops if latency(s) <= search.limit)
    assert len(search.timed) <= 60


@given(
    st.permutations(range(12)),
    st.lists(st.floats(0.96, 1.04), min_size=12, max_size=12),
    st.floats(0.5, 1.1),
)
def test_any_ranking_and_noise_below_the_margin(ranking, noise, share):
    """Of a table of accuracies, say. Only a choice among what is too slow anyway may differ."""
    members = [Subnet(width, depth) for width in (1, 2, 3) for depth in (1, 2, 3, 4)]
    seconds = {s: (s.width + s.depth) * factor for s, factor in zip(members, noise, strict=True)}
    flops = {members[i]: LAWS['work'](members[i]) for i in ranking}
    search = LatencySearch(seconds.__getitem__, share * 7)
    found = search.run(flops)
    assert found == next((s for s in flops if seconds[s] <= search.limit), None)
    for member in members:
        bound = search.at_least(member, flops)
        assert bound is None or bound <= seconds[member] * 1.04 / 0.96


def test_a_limit_that_all_meet_takes_two_timings():
    flops = flops_of(RESNETS)
    search = LatencySearch(LAWS['work'], math.inf)
    assert search.run(flops) == Subnet(128, (3, 8, 36, 3))
    assert list(search.timed) == [Subnet(64, (3, 4, 6, 3)), Subnet(128, (3, 8, 36, 3))]


def test_a_limit_that_none_meets_takes_one():
    search = LatencySearch(LAWS['work'], 1.0)
    assert search.run(flops_of(RESNETS)) is None
    assert list(search.timed) == search.slow == [Subnet(64, (3, 4, 6, 3))]


def test_what_does_not_exceed_the_cheapest_one_is_still_tried():
    """Shallow and wide: more work in fewer steps."""
    deep, shallow = Subnet(384, 24), Subnet(768, 12)
    search = LatencySearch(LAWS['steps'], 15)
    assert search.run({shallow: LAWS['work'](shallow), deep: LAWS['work'](deep)}) == shallow
    assert list(search.timed) == [deep, shallow]


def test_a_latency_that_is_nearly_fast_enough_speaks_for_itself_alone():
    seconds = {Subnet(1, 1): 0.5, Subnet(1, 2): 1.05, Subnet(1, 3): 0.99}
    flops = {s: s.num_blocks for s in (Subnet(1, 3), Subnet(1, 2), Subnet(1, 1))}
    search = LatencySearch(seconds.__getitem__, 1.0)
    assert search.run(flops) == Subnet(1, 3)
    search = LatencySearch({**seconds, Subnet(1, 3): 1.04}.__getitem__, 1.0)
    assert search.run(flops) == Subnet(1, 1)
    assert search.slow == []
