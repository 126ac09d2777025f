"""Profiles of whole search spaces."""

from dataclasses import asdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from poa_mm.evaluation import build_on_meta, save_csv, subnet_cost
from poa_mm.evaluation.cost_profile import (
    LatencySettings,
    extractable,
    profile_rows,
    profile_table,
)
from poa_mm.evaluation.csv_rows import read_csv

VIT = {
    'type': 'ElasticVisionTransformer',
    'arch': {'embed_dims': 32, 'num_layers': 6, 'num_heads': 4, 'feedforward_channels': 64},
    'widths': [8, 16, 24, 32],
    'depths': [1, 2, 3, 4, 5, 6],
    'img_size': 16,
    'patch_size': 8,
}
SWIN = {
    'type': 'ElasticSwinTransformer',
    'arch': {'embed_dims': 16, 'depths': [1, 1, 3, 1], 'num_heads': [2, 4, 8, 16]},
    'widths': [8, 16],
    'depths': [5, 6],
    'pad_small_map': True,
}
RESNET = {
    'type': 'ElasticResNet',
    'arch': {'stage_blocks': (1, 2, 3, 1), 'mid_channels': 16, 'out_channels': 32},
    'stem_channels': 16,
    'widths': [8, 12, 16],
    'depths': [(1, second, third, 1) for second in (1, 2) for third in (1, 2, 3)],
    'norm_cfg': {'type': 'GN', 'num_groups': 4},
}
FAMILIES = {'vit': VIT, 'swin': SWIN, 'resnet': RESNET}


@pytest.fixture(scope='module')
def supernets():
    return {family: build_on_meta(cfg) for family, cfg in FAMILIES.items()}


@given(st.data())
@settings(deadline=None, max_examples=30)
def test_rows_hold_each_sub_networks_cost(supernets, data):
    backbone = supernets[data.draw(st.sampled_from(list(FAMILIES)))]
    subnet = data.draw(st.sampled_from(list(backbone.space)))
    (row,) = profile_rows(backbone, [subnet], 32)
    cost = subnet_cost(backbone, subnet, 32)
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
        'subnet': 'w8-d1-1-1-1',
        'name': 'smallest',
        'width': '8',
        'depth': '1-1-1-1',
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
        profile_rows(supernets['vit'], supernets['vit'].space[::23], (16, 24), conditions),
        tmp_path / 'profile.csv',
    )
    assert 0 < small.latency < large.latency < 10
    (cells, _) = read_csv(tmp_path / 'profile.csv', [])
    assert float(cells['latency_ms']) == pytest.approx(small.latency * 1e3, rel=1e-3)
    assert (cells['batch_size'], cells['threads'], cells['device']) == ('2', '1', 'cpu')
    assert cells['image_size'] == '16x24'


def test_sub_networks_without_a_stock_network_are_told_apart():
    backbone = build_on_meta({**SWIN, 'official': True})
    fine, refused = extractable(backbone, list(backbone.space))
    assert [str(subnet) for subnet in fine] == ['w16-d5', 'w16-d6']
    assert [str(subnet) for subnet in refused] == ['w8-d5', 'w8-d6']
    assert all('cannot be extracted' in reason for reason in refused.values())
    with pytest.raises(ValueError, match='w8-d5 cannot be extracted from this supernet'):
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
    assert 'Cost of one image of 16 pixels: 24 of 24 sub-networks' in lines[0]
    lines, names = shown([*rows, *rows])
    assert names == 2 * ['w8-d1', 'w32-d6']
    assert '4 of 48' in lines[0]


def test_the_table_states_the_latencys_conditions(supernets):
    conditions = LatencySettings(batch_size=4, threads=1)
    lines, _ = shown(
        list(profile_rows(supernets['vit'], supernets['vit'].space[:1], 16, conditions))
    )
    assert 'batch size 4, 1 threads, cpu' in lines[-1]
    assert sum('latency' in line for line in lines) == 2
