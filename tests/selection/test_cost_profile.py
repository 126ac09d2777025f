"""Profiles of whole search spaces."""

from dataclasses import asdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from tiny.families import SUPERNETS

from poa_mm.checkpoints.build import build_on_meta
from poa_mm.selection import subnet_cost
from poa_mm.selection.profile import (
    LatencySettings,
    extractable,
    profile_rows,
    profile_table,
)
from poa_mm.tables import read_csv, save_csv


@pytest.fixture(scope='module')
def supernets():
    return {family: build_on_meta(dict(cfg)) for family, cfg in SUPERNETS.items()}


@given(st.data())
@settings(deadline=None, max_examples=30)
def test_rows_hold_each_sub_networks_cost(supernets, data):
    backbone = supernets[data.draw(st.sampled_from(list(SUPERNETS)))]
    subnet = data.draw(st.sampled_from(list(backbone.space)))
    (row,) = profile_rows(backbone, [subnet], 64)
    cost = subnet_cost(backbone, subnet, 64)
    assert asdict(cost).items() <= asdict(row).items()
    assert backbone.space[row.subnet] == subnet
    assert (row.width, row.depth) == (subnet.width, subnet.depth)
    assert row.params == backbone.num_params(subnet)
    assert row.latency is row.settings is None


def test_the_csv_file_names_all_units(supernets, tmp_path):
    rows = save_csv(
        profile_rows(supernets['resnet'], supernets['resnet'].space[:2], 32), tmp_path / 'p'
    )
    cells, other = read_csv(tmp_path / 'p', [])
    assert cells == {
        'subnet': 'w32-d1-1-2-1',
        'name': 'smallest',
        'width': '32',
        'depth': '1-1-2-1',
        'params': str(rows[0].params),
        'flops': str(rows[0].flops),
        'activation_bytes': str(rows[0].activation_bytes),
        'training_bytes': str(rows[0].training_bytes),
        'image_size': '32',
    }
    assert other['name'] == ''


def test_latency_comes_with_its_conditions(supernets, tmp_path):
    conditions = LatencySettings(batch_size=2, threads=1, device='cpu')
    small, large = save_csv(
        profile_rows(
            supernets['vit'],
            supernets['vit'].space[:: len(supernets['vit'].space) - 1],
            (16, 24),
            conditions,
        ),
        tmp_path / 'profile.csv',
    )
    assert 0 < small.latency < 10
    assert 0 < large.latency < 10
    (cells, _) = read_csv(tmp_path / 'profile.csv', [])
    assert float(cells['latency_ms']) == pytest.approx(small.latency * 1e3, rel=1e-3)
    assert (cells['batch_size'], cells['threads'], cells['device']) == ('2', '1', 'cpu')
    assert cells['image_size'] == '16x24'


def test_sub_networks_without_a_stock_network_are_told_apart():
    backbone = build_on_meta({**SUPERNETS['swin'], 'official': True})
    fine, refused = extractable(backbone, list(backbone.space))
    assert [str(subnet) for subnet in fine] == [f'w32-d{depth}' for depth in (6, 7, 8)]
    assert {subnet.width for subnet in refused} == {16, 24}
    assert all('cannot be extracted' in reason for reason in refused.values())
    with pytest.raises(ValueError, match='w16-d6 cannot be extracted from this supernet'):
        extractable(backbone, list(refused))


def shown(rows):
    console = Console(width=80)
    with console.capture() as capture:
        console.print(profile_table(rows))
    lines = capture.get().splitlines()
    return lines, [line.split('│')[1].strip() for line in lines if line.startswith('│')]


def test_a_table_of_few_lists_them_all_and_one_of_many_the_named(supernets):
    rows = list(profile_rows(supernets['vit'], list(supernets['vit'].space), 16))
    lines, names = shown(rows)
    assert names == [row.subnet for row in rows]
    assert 'Cost of one image of 16 pixels: 9 of 9 sub-networks' in lines[0]
    lines, names = shown(3 * rows)
    assert names == 3 * ['w16-d2', 'w32-d4']
    assert '6 of 27' in lines[0]


def test_the_table_states_the_latencys_conditions(supernets):
    conditions = LatencySettings(batch_size=4, threads=1)
    lines, _ = shown(
        list(profile_rows(supernets['vit'], supernets['vit'].space[:1], 16, conditions))
    )
    assert 'batch size 4, 1 threads, cpu' in lines[-1]
    assert sum('latency' in line for line in lines) == 2
