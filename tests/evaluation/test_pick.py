"""The best sub-network within budgets, and how budgets are written."""

import pytest
import torch
from helpers import VIT, load_tool

from poa_mm.elastic import Subnet
from poa_mm.evaluation.cost import build_on_meta, subnet_cost
from poa_mm.evaluation.latency import measure_latency, subnet_latency
from poa_mm.evaluation.pick import accuracies_from_csv, parse_amount, pick_subnet
from poa_mm.evaluation.supernet import open_supernet

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
    assert pick.reasons[0] == '4 sub-networks with an accuracy'
    assert '63.0 %' in pick.reasons[-1]
    limit = net.num_params(Subnet(16, 2))
    small = pick_subnet(net, accuracies=ACCURACIES, max_params=limit, image_size=16)
    assert small.chosen.subnet == Subnet(16, 2)


def test_latency_is_measured_from_the_best_one_down(net):
    asked = []

    def latency(subnet):
        asked.append(subnet)
        return subnet.width * 1e-3

    pick = pick_subnet(net, max_latency=25e-3, latency=latency, image_size=16)
    assert asked == [Subnet(32, 3), Subnet(32, 2), Subnet(24, 3)]
    assert pick.chosen.subnet == Subnet(24, 3)
    assert pick.chosen.latency == 24e-3
    assert pick.runners_up[0].subnet == Subnet(24, 2)
    with pytest.raises(ValueError, match='none of 6 sub-networks takes at most 1 ms'):
        pick_subnet(net, max_latency=1e-3, latency=latency, image_size=16)


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ({'max_params': 100}, r'0 of them within 100 parameters; the smallest one is w16-d2 \('),
        ({'max_flops': 1000}, r'0 of them within 1000 FLOPs; the smallest one is w16-d2 \('),
        ({'max_params': -1}, r"budgets must be positive, got \{'params': -1\}"),
        ({'max_params': float('nan')}, 'budgets must be positive'),
        ({'max_latency': 1.0}, 'max_latency needs latency'),
    ],
)
def test_budgets_that_nothing_meets(arguments, message, net):
    with pytest.raises(ValueError, match=message):
        pick_subnet(net, image_size=16, **arguments)


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


def test_accuracies_of_a_table(net, tmp_path):
    path = tmp_path / 'knn.csv'
    path.write_text('subnet,k10,k20\nw16-d2,50.1,51.2\nw32-d3,60.1,61.2\n')
    assert accuracies_from_csv(path, net.space) == {Subnet(16, 2): 51.2, Subnet(32, 3): 61.2}
    path.write_text('subnet,k20\nw384-d12,51.2\n')
    with pytest.raises(ValueError, match=r'does not fit this supernet: no sub-network .w384-d12'):
        accuracies_from_csv(path, net.space)
    path.write_text('subnet,params\nw16-d2,51\n')
    with pytest.raises(ValueError, match='no column with an accuracy'):
        accuracies_from_csv(path, net.space)


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
    assert 'of 1 timed' in capsys.readouterr().out
    assert tool.main([*arguments, '--max-params', '1']) == 2
    assert 'the smallest one is w16-d2' in capsys.readouterr().err
    assert tool.main([*arguments, '--accuracy', str(tmp_path / 'none.csv')]) == 2
    assert 'no CSV file' in capsys.readouterr().err
