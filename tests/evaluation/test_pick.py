"""The best sub-network within budgets, and how budgets are written."""

import pytest
import torch
from helpers import VIT, load_tool
from hypothesis import given, settings
from hypothesis import strategies as st

from poa_mm.elastic import Subnet
from poa_mm.evaluation import (
    LatencySettings,
    accuracies_from_csv,
    build_on_meta,
    measure_latency,
    open_supernet,
    pick_subnet,
    profile_from_csv,
    profile_rows,
    save_csv,
    subnet_cost,
    subnet_latency,
)
from poa_mm.evaluation.pick_inputs import Conditions, Profiled, format_amount, parse_amount

tool = load_tool('pick_subnet')
ACCURACIES = {Subnet(16, 2): 60.0, Subnet(16, 3): 63.0, Subnet(24, 3): 63.0, Subnet(32, 2): 62.0}


@pytest.fixture
def net():
    return build_on_meta(dict(VIT))


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


def test_a_profile_of_another_supernet_is_refused(net, tmp_path):
    path = tmp_path / 'profile.csv'
    path.write_text('subnet,params,flops,image_size\nw16-d2,5,6,16\n')
    with pytest.raises(ValueError, match=r'w16-d2 has 5 parameters there and \d+ here'):
        profile_from_csv(path, net)
    path.write_text('subnet,params,flops,image_size\nw384-d12,5,6,16\n')
    with pytest.raises(ValueError, match=r'profile\.csv does not fit this supernet: no sub-net'):
        profile_from_csv(path, net)
    path.write_text('subnet,params,flops,image_size\nw16-d2,many,6,16\n')
    with pytest.raises(ValueError, match='does not fit this supernet: invalid literal'):
        profile_from_csv(path, net)


@pytest.mark.parametrize(
    ('columns', 'rows', 'message'),
    [
        ('flops,image_size', ['6G,16'], "cell of w16-d2 that means nothing: .*'6G'"),
        ('flops,image_size', ['6,big'], "cell of w16-d2 that means nothing: .*'big'"),
        ('flops,image_size', ['6,1x2x3'], "'1x2x3' is no size of an image"),
        ('flops', ['6'], 'has no column image_size'),
        ('flops,image_size,latency_ms', ['6,16,3'], "has latencies, but no column 'batch_size'"),
        ('flops,image_size,latency_ms', ['6,16,nan'], "latency_ms of w16-d2 is 'nan', no finite"),
        ('flops,image_size', ['6,16', '6,32'], 'costs of images of 16 pixels with those of images'),
    ],
)
def test_tables_that_say_nothing_clear_are_refused(columns, rows, message, net, tmp_path):
    lines = [f'subnet,params,{columns}']
    for name, row in zip(('w16-d2', 'w24-d2'), rows, strict=False):
        lines.append(f'{name},{params(net, name)},{row}')
    (tmp_path / 'profile.csv').write_text('\n'.join(lines))
    with pytest.raises(ValueError, match=message):
        profile_from_csv(tmp_path / 'profile.csv', net)


def test_conditions_are_compared():
    conditions = Conditions((28, 28), LatencySettings(1, 2, 'cpu'))
    conditions.check()
    conditions.check(28, batch_size=1, threads=2, device='cpu')
    conditions.check((28, 28))
    message = (
        'image size 224 is asked for, 28 is that of the profile; batch size 64 is asked for, 1'
    )
    with pytest.raises(ValueError, match=message):
        conditions.check(224, batch_size=64)
    with pytest.raises(ValueError, match='image size 28x32 is asked for, 28 is that'):
        conditions.check((28, 32))
    with pytest.raises(ValueError, match='threads 4 is asked for, 2 is that of the profile'):
        conditions.check(threads=4)
    with pytest.raises(ValueError, match='device cuda:0 is asked for, cpu is that'):
        conditions.check(device='cuda:0')
    Conditions((28, 32)).check((28, 32), batch_size=64)  # nothing was measured
    assert str(Conditions((28, 32))) == 'images of 28x32 pixels'


def test_sub_networks_that_cannot_be_extracted_are_not_chosen():
    arch = {'embed_dims': 16, 'depths': [1, 1, 3, 1], 'num_heads': [2, 4, 8, 16]}
    swin = {'type': 'ElasticSwinTransformer', 'arch': arch, 'widths': [8, 16], 'official': True}
    net = build_on_meta({**swin, 'pad_small_map': True})
    assert pick_subnet(net, image_size=32).reasons[0] == '1 sub-networks'


@pytest.mark.parametrize(
    ('kind', 'text', 'value'),
    [
        ('params', '30M', 30e6),
        ('params', '21674880', 21_674_880),
        ('params', '1.5B', 1.5e9),
        ('flops', '4.6G', 4.6e9),
        ('latency', '20ms', 0.02),
        ('latency', '0.5s', 0.5),
    ],
)
def test_amounts(kind, text, value):
    assert parse_amount(kind, text) == pytest.approx(value)


@pytest.mark.parametrize(
    ('kind', 'text'),
    [
        ('params', '30Q'),
        ('params', '0M'),
        ('params', 'many'),
        ('params', '-3M'),
        ('flops', '4.6GFLOPs'),
        ('latency', '20'),
    ],
)
def test_amounts_that_mean_nothing(kind, text):
    with pytest.raises(ValueError, match=f'{text!r} is no amount of {kind}: write'):
        parse_amount(kind, text)


@pytest.mark.parametrize(
    ('kind', 'value', 'text'),
    [
        ('params', 21_674_880, '21.67 M parameters'),
        ('params', 999, '999 parameters'),
        ('flops', 4.6e9, '4.6 GFLOPs'),
        ('flops', 553_100, '553.1 KFLOPs'),
        ('latency', 0.02, '20 ms'),
        ('latency', 1e-9, '0.001 us'),
        ('latency', 75.0, '75 s'),
    ],
)
def test_amounts_are_written_with_the_unit_that_fits(kind, value, text):
    assert format_amount(kind, value) == text


def params(net, name):
    return net.num_params(net.space[name])


def test_accuracies_of_a_table(net, tmp_path):
    path = tmp_path / 'knn.csv'
    small, large = params(net, 'w16-d2'), params(net, 'w32-d3')
    path.write_text(f'subnet,params,k10,k20\nw16-d2,{small},50.1,51.2\nw32-d3,{large},60.1,61.2\n')
    assert accuracies_from_csv(path, net) == {Subnet(16, 2): 51.2, Subnet(32, 3): 61.2}


@pytest.mark.parametrize('other', ['large', 'nan', 'inf', '-inf', ''])
def test_an_accuracy_that_is_no_finite_number_is_refused(other, net, tmp_path):
    path = tmp_path / 'knn.csv'
    path.write_text(f'subnet,params,k20\nw16-d2,{params(net, "w16-d2")},{other}\n')
    with pytest.raises(ValueError, match=f'k20 of w16-d2 is {other!r}, no finite number'):
        accuracies_from_csv(path, net)


def test_accuracies_of_another_supernet_are_refused(net, tmp_path):
    path = tmp_path / 'knn.csv'
    path.write_text('subnet,params,k20\nw384-d12,1,51.2\n')
    with pytest.raises(ValueError, match=r'does not fit this supernet: no sub-network .w384-d12'):
        accuracies_from_csv(path, net)
    path.write_text('subnet,params,k20\nw16-d2,1,51.2\n')
    with pytest.raises(ValueError, match=r'knn\.csv.*: w16-d2 has 1 parameters there and \d+ here'):
        accuracies_from_csv(path, net)
    path.write_text('subnet,k20\nw16-d2,51\n')
    with pytest.raises(ValueError, match='has no column params'):
        accuracies_from_csv(path, net)
    path.write_text(f'subnet,params\nw16-d2,{params(net, "w16-d2")}\n')
    with pytest.raises(ValueError, match='no column with an accuracy'):
        accuracies_from_csv(path, net)


def test_latency_of_a_network(net):
    layer = torch.nn.Conv2d(3, 4, 3)
    assert 0 < measure_latency(layer, 8, batch_size=2, seconds=0.01) < 1
    assert 0 < subnet_latency(net, 'smallest', 16, seconds=0.01) < 1
    with pytest.raises(ValueError, match='must be positive, got 0 and 1'):
        measure_latency(layer, 8, batch_size=0)


def test_a_supernet_from_a_config(tmp_path):
    config = tmp_path / 'tiny.py'
    config.write_text(f'model = dict(type="POA", backbone={VIT})')
    assert len(open_supernet(config).space) == 6
    config.write_text('model = dict(backbone=dict(type="ResNet", depth=50))')
    with pytest.raises(ValueError, match=r'of type ResNet; elastic are .*ElasticVisionTransformer'):
        open_supernet(config)
    with pytest.raises(FileNotFoundError, match=r'no config at .*missing\.py'):
        open_supernet(tmp_path / 'missing.py')


def test_the_tool_refuses_options_that_contradict_the_profile(tmp_path, capsys):
    config, table = tmp_path / 'tiny.py', tmp_path / 'profile.csv'
    config.write_text(f'model = dict(type="POA", backbone={VIT})')
    measured = LatencySettings(batch_size=1, threads=1, device='cpu')
    members = [Subnet(16, 2), Subnet(24, 3)]
    save_csv(profile_rows(open_supernet(config), members, 32, measured), table)
    arguments = [str(config), '--profile', str(table), '--max-latency', '10s']
    for options, message in (
        (['--image-size', '16'], 'image size 16 is asked for, 32 is that of the profile'),
        (['--batch-size', '64', '--threads', '1'], 'batch size 64 is asked for, 1 is that'),
        (['--threads', '4'], 'threads 4 is asked for, 1 is that of the profile'),
    ):
        assert tool.main([*arguments, *options]) == 2
        error = capsys.readouterr().err
        assert error.startswith(f'error: {table} contradicts the options: {message}')
        assert len(error.splitlines()) == 1
    same = ['--image-size', '32', '--batch-size', '1', '--threads', '1', '--device', 'cpu']
    for options in ([], same):
        assert tool.main([*arguments, *options]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert lines[1] == 'profile: images of 32 pixels; latency: batch size 1, 1 threads, cpu'
        assert lines[2] == '2 of them within 10 s'


def test_what_a_profile_lacks_is_measured_at_its_image_size(tmp_path, capsys, monkeypatch):
    config, table = tmp_path / 'tiny.py', tmp_path / 'profile.csv'
    config.write_text(f'model = dict(type="POA", backbone={VIT})')
    save_csv(profile_rows(open_supernet(config), [Subnet(16, 2)], 32), table)
    asked = []

    def latency(backbone, subnet, **settings):
        asked.append(settings)
        return 1e-3

    monkeypatch.setattr(tool, 'subnet_latency', latency)
    options = ['--max-latency', '10s', '--batch-size', '4', '--device', 'cpu']
    assert tool.main([str(config), '--profile', str(table), *options]) == 0
    settings = {'batch_size': 4, 'threads': 1, 'device': torch.device('cpu')}
    assert asked == [{'image_size': (32, 32), **settings}]
    assert 'profile: images of 32 pixels\n' in capsys.readouterr().out


def test_the_tool(tmp_path, capsys):
    config = tmp_path / 'tiny.py'
    config.write_text(f'model = dict(type="POA", backbone={VIT})')
    arguments = [str(config), '--image-size', '16']
    assert tool.main([*arguments, '--max-params', '10K']) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == '6 sub-networks'
    assert lines[-1] == str(
        max(s for s in open_supernet(config).space if open_supernet(config).num_params(s) <= 10_000)
    )
    assert tool.main([*arguments, '--max-latency', '10s', '--threads', '1']) == 0
    assert 'of 2 timed' in capsys.readouterr().out
    table = tmp_path / 'profile.csv'
    save_csv(profile_rows(open_supernet(config), [Subnet(24, 2)], 16), table)
    assert tool.main([*arguments, '--profile', str(table)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == 'w24-d2'
    assert tool.main([*arguments, '--max-params', '1']) == 2
    assert 'the smallest one is w16-d2' in capsys.readouterr().err
    assert tool.main([*arguments, '--accuracy', str(tmp_path / 'none.csv')]) == 2
    assert 'no CSV file' in capsys.readouterr().err
