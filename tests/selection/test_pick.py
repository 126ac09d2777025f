"""The best sub-network within budgets."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny.networks import VIT

from poa_mm.checkpoints.build import build_on_meta
from poa_mm.elastic import Subnet
from poa_mm.selection import (
    LatencySettings,
    pick_subnet,
    profile_from_csv,
    profile_rows,
    subnet_cost,
)
from poa_mm.selection.pick_inputs import Profiled
from poa_mm.tables import save_csv

ACCURACIES = {Subnet(16, 2): 60.0, Subnet(16, 3): 63.0, Subnet(24, 3): 63.0, Subnet(32, 2): 62.0}


def test_the_largest_one_within_each_budget(net):
    """Against all sub-networks, looked at one by one."""
    costs = {subnet: subnet_cost(net, subnet, 16) for subnet in net.space}
    for limit in sorted({cost.params for cost in costs.values()}):
        fitting = [subnet for subnet, cost in costs.items() if cost.params <= limit]
        pick = pick_subnet(net, max_params=limit, image_size=16)
        assert pick.chosen.subnet == max(fitting, key=lambda subnet: costs[subnet].params)
    for limit in sorted({cost.flops for cost in costs.values()}):
        fitting = [subnet for subnet, cost in costs.items() if cost.flops <= limit]
        pick = pick_subnet(net, max_flops=limit, image_size=16)
        assert pick.chosen.subnet == max(fitting, key=lambda subnet: costs[subnet].params)
        assert f'{len(fitting)} of them within' in pick.reasons[1]
        assert pick.chosen.flops == costs[pick.chosen.subnet].flops


def test_the_most_accurate_one_and_of_equal_ones_the_smallest(net):
    pick = pick_subnet(net, accuracies=ACCURACIES, image_size=16)
    assert pick.chosen.subnet == Subnet(16, 3)
    assert [c.subnet for c in pick.runners_up] == [Subnet(24, 3), Subnet(32, 2), Subnet(16, 2)]
    assert pick.reasons[0] == '4 sub-networks with accuracy'
    assert '63.0 %' in pick.reasons[-1]
    limit = net.num_params(Subnet(16, 2))
    small = pick_subnet(net, accuracies=ACCURACIES, max_params=limit, image_size=16)
    assert small.chosen.subnet == Subnet(16, 2)


def test_few_latencies_are_measured_and_the_rest_follows(net):
    asked = []

    def latency(subnet):
        asked.append(subnet)
        return subnet.width * 1e-3

    pick = pick_subnet(net, max_latency=25e-3, latency=latency, image_size=16)
    assert asked == [Subnet(16, 2), Subnet(32, 3), Subnet(24, 2), Subnet(24, 3), Subnet(32, 2)]
    assert pick.chosen.subnet == Subnet(24, 3)
    assert pick.chosen.latency == 24e-3
    assert pick.runners_up[0].subnet == Subnet(24, 2)
    assert 'the best of them within 25 ms, of 5 timed' in pick.reasons
    assert any('it would be w32-d3' in line and '32 ms)' in line for line in pick.reasons)


def test_if_the_cheapest_one_is_too_slow_no_other_is_timed(net):
    asked = []

    def latency(subnet):
        asked.append(subnet)
        return 1.01e-3  # too slow by less than the margin

    message = r'at most 1 ms; the one of fewest FLOPs is w16-d2 \(.*1\.01 ms\)'
    with pytest.raises(ValueError, match=message):
        pick_subnet(net, max_latency=1e-3, latency=latency, image_size=16)
    assert asked == [Subnet(16, 2)]


def test_what_exceeds_a_slow_one_is_reported_as_slow(net):
    """The best one was never timed: a smaller one was too slow already."""
    accuracies = {subnet: float(subnet.width) for subnet in net.space}
    accuracies[Subnet(24, 2)] = 99.0

    def latency(subnet):
        return {2: 1.0, 3: 5.0}[subnet.depth] * (1 if subnet.width == 16 else 3)

    pick = pick_subnet(net, max_latency=2.0, latency=latency, accuracies=accuracies, image_size=16)
    assert pick.chosen.subnet == Subnet(16, 2)
    (line,) = [line for line in pick.reasons if line.startswith('latency: ')]
    assert 'without this limit it would be w24-d2' in line
    others = [candidate.subnet for candidate in pick.runners_up]
    assert others == [Subnet(16, 3)], 'the only one that is not known to be too slow'


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ({'max_params': 100}, r'0 of them within 100 parameters; the smallest one is w16-d2 \('),
        ({'max_flops': 1000}, r'0 of them within 1 KFLOPs; the smallest one is w16-d2 \('),
        ({'max_params': -1}, r"budgets must be positive, got \{'params': -1\}"),
        ({'max_params': float('nan')}, 'budgets must be positive'),
        ({'max_latency': 1.0}, 'max_latency needs latencies in profile, or a function'),
        ({'max_params': '30Q'}, "'30Q' is no amount of params: write 30M"),
        ({'accuracies': {**ACCURACIES, Subnet(16, 2): float('nan')}}, 'finite, got nan of w16-d2'),
        ({'profile': {}}, 'have no sub-network of this supernet in common'),
    ],
)
def test_budgets_that_nothing_meets(arguments, message, net):
    with pytest.raises(ValueError, match=message):
        pick_subnet(net, image_size=16, **arguments)


@st.composite
def choices(draw):
    """Costs and accuracies of 6 sub-networks, few values so that some are equal, and budgets."""
    members = build_on_meta(dict(VIT)).space
    amount = st.integers(1, 5)
    profile = {s: Profiled(draw(amount), draw(amount), draw(amount)) for s in members}
    accuracies = draw(st.none() | st.fixed_dictionaries(dict.fromkeys(members, amount)))
    budgets = draw(st.dictionaries(st.sampled_from(['params', 'flops', 'latency']), amount))
    return profile, accuracies, budgets


def best(profile, accuracies, budgets):
    """The choice by its definition; None if nothing fits."""
    fitting = [
        subnet
        for subnet, cost in profile.items()
        if all(getattr(cost, name) <= limit for name, limit in budgets.items())
    ]

    def rank(subnet):
        cost = profile[subnet]
        if accuracies is None:
            return cost.params, cost.flops
        return accuracies[subnet], -cost.params

    return max(map(rank, fitting), default=None), rank


@given(choices())
@settings(deadline=None, max_examples=60)
def test_any_choice_is_the_best_and_says_which_budgets_decide(choice):
    profile, accuracies, budgets = choice
    expected, rank = best(profile, accuracies, budgets)
    limits = {f'max_{name}': limit for name, limit in budgets.items()}
    net = build_on_meta(dict(VIT))
    if expected is None:
        with pytest.raises(ValueError, match='the smallest one is w'):
            pick_subnet(net, profile=profile, accuracies=accuracies, **limits)
        return
    pick = pick_subnet(net, profile=profile, accuracies=accuracies, **limits)
    assert rank(pick.subnet) == expected
    ranks = [rank(pick.subnet), *(rank(candidate.subnet) for candidate in pick.runners_up)]
    assert ranks == sorted(ranks, reverse=True)
    for name, word in (('params', 'parameters'), ('flops', 'FLOPs'), ('latency', 'latency')):
        lines = [line for line in pick.reasons if line.startswith(f'{word}: ')]
        assert len(lines) == (name in budgets)
        if lines:
            others = {other: limit for other, limit in budgets.items() if other != name}
            decides = best(profile, accuracies, others)[0] > expected
            assert ('without this limit it would be' in lines[0]) == decides


def test_a_profile_replaces_tracing_and_timing(net, tmp_path):
    settings = LatencySettings(batch_size=1, threads=1, device='cpu')
    members = [Subnet(16, 2), Subnet(24, 3), Subnet(32, 2)]
    rows = save_csv(profile_rows(net, members, 16, settings), tmp_path / 'profile.csv')
    profile = profile_from_csv(tmp_path / 'profile.csv', net)
    assert list(profile) == members
    for row, cost in zip(rows, profile.values(), strict=True):
        assert (row.params, row.flops) == (cost.params, cost.flops)
        assert cost.latency == pytest.approx(row.latency, rel=1e-3)
    pick = pick_subnet(net, profile=profile, max_latency='10s', max_params='1M')
    assert pick.reasons[:4] == [
        '3 sub-networks with profile',
        'profile: images of 16 pixels; latency: batch size 1, 1 threads, cpu',
        '3 of them within 1 M parameters',
        '3 of them within 10 s',
    ]
    assert pick.chosen.latency == profile[pick.subnet].latency


def test_sub_networks_that_cannot_be_extracted_are_not_chosen():
    arch = {'embed_dims': 16, 'depths': [1, 1, 3, 1], 'num_heads': [2, 4, 8, 16]}
    swin = {'type': 'ElasticSwinTransformer', 'arch': arch, 'widths': [8, 16], 'official': True}
    net = build_on_meta({**swin, 'pad_small_map': True})
    assert pick_subnet(net, image_size=32).reasons[0] == '1 sub-networks'
