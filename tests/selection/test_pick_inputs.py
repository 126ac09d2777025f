"""How budgets are written, and the tables that a choice is made from."""

import pytest

from poa_mm.elastic import Subnet
from poa_mm.selection import LatencySettings, accuracies_from_csv, profile_from_csv
from poa_mm.selection.pick_inputs import Conditions, format_amount, parse_amount


def params(net, name):
    return net.num_params(net.space[name])


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
        ('flops,image_size', ['6G,16'], "cell of w16-d2 that cannot be read: .*'6G'"),
        ('flops,image_size', ['6,big'], "cell of w16-d2 that cannot be read: .*'big'"),
        ('flops,image_size', ['6,1x2x3'], "'1x2x3' is not an image size"),
        ('flops', ['6'], 'has no column image_size'),
        ('flops,image_size,latency_ms', ['6,16,3'], "has latencies, but no column 'batch_size'"),
        (
            'flops,image_size,latency_ms',
            ['6,16,nan'],
            "latency_ms of w16-d2 is 'nan', not a finite",
        ),
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


def test_accuracies_of_a_table(net, tmp_path):
    path = tmp_path / 'knn.csv'
    small, large = params(net, 'w16-d2'), params(net, 'w32-d3')
    path.write_text(f'subnet,params,k10,k20\nw16-d2,{small},50.1,51.2\nw32-d3,{large},60.1,61.2\n')
    assert accuracies_from_csv(path, net) == {Subnet(16, 2): 51.2, Subnet(32, 3): 61.2}


@pytest.mark.parametrize('other', ['large', 'nan', 'inf', '-inf', ''])
def test_an_accuracy_that_is_no_finite_number_is_refused(other, net, tmp_path):
    path = tmp_path / 'knn.csv'
    path.write_text(f'subnet,params,k20\nw16-d2,{params(net, "w16-d2")},{other}\n')
    with pytest.raises(ValueError, match=f'k20 of w16-d2 is {other!r}, not a finite number'):
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
