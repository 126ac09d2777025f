"""results/paper.yaml and the comparison with it."""

from dataclasses import replace

import pytest
from helpers import ROOT

from poa_mm.evaluation import Result, compare, read_paper

PAPER = ROOT / 'results' / 'paper.yaml'
OURS = Result(
    'knn', 'top1', 75.5, 'w384-d12', 'vit-s', 'a.pth', 'f00d', 'imagenet-1k', settings={'k': 20}
)


@pytest.fixture(scope='module')
def tables():
    return {table.number: table for table in read_paper(PAPER)}


def numbers(table, **address):
    """The numbers of a table whose address says so."""
    return [
        cell.value
        for row in table.cells
        for cell in row
        if all(cell.address.get(key) == value for key, value in address.items())
    ]


def test_every_table_of_numbers_is_there(tables):
    counted = [number for number in tables if number.rstrip('abc').isdigit()]
    assert counted == [
        *('1a', '1b', '1c'),
        *map(str, [2, 3, 4, 5, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20]),
    ]
    assert sum(number.startswith('D.') for number in tables) == 5


def test_numbers_that_the_paper_states_twice_agree(tables):
    """Those of the text and of other tables, so that a slip of the pen shows."""
    for name, knn, linear in (('vit-s', 76.8, 77.6), ('vit-b', 80.9, 81.7), ('vit-l', 82.3, 83.6)):
        for number in ('1c', 'D.1 ViT'):
            found = numbers(tables[number], method='POA', network=name)
            assert found == [knn, linear]
        assert numbers(tables['5'], method='POA', network=name) == [knn, linear]
        assert numbers(tables['3'], variant='full', network=name) == [knn, linear]
        assert numbers(tables['17'], variant='λ = 0.8', network=name) == [knn, linear]
        assert numbers(tables['18'], variant='γ = 3', network=name) == [knn, linear]
        assert numbers(tables['19'], variant='143 candidates', network=name) == [knn]
        assert numbers(tables['20'], method='POA', network=name, metric='top1') == [knn]
    grids = {'13': 'w384-d12 w768-d12 w1024-d24', '14': 'w96-d12 w128-d24', '15': 'w64-d3-4-6-3'}
    rounded = {'13': [76.8, 80.9, 82.3], '14': [77.5, 79.6], '15': [73.4]}
    for number, networks in grids.items():
        found = [numbers(tables[number], network=name) for name in networks.split()]
        assert [round(value, 1) for (value,) in found] == rounded[number]
    for family, number in (('ResNet', '1a'), ('Swin', '1b'), ('ViT', '1c')):
        assert numbers(tables[number], method='POA') == numbers(
            tables[f'D.1 {family}'], method='POA'
        )


def test_every_size_of_the_grids_is_there(tables):
    assert len(numbers(tables['13'])) == 143
    assert len(numbers(tables['14'])) == 39
    assert len(numbers(tables['15'])) == 48
    networks = [cell.address['network'] for row in tables['13'].cells for cell in row]
    assert len(set(networks)) == 143


def test_ours_beside_the_paper(tables):
    others = [
        replace(OURS, settings={'k': 10}),
        replace(OURS, data='tiny_imagenet'),
        replace(OURS, protocol='linear', settings={}, value=77.25),
        replace(OURS, network='w448-d12', name=''),
    ]
    table = tables['1c']
    (comparison,) = compare([table], [OURS, *others])
    rows = {row[0]: row[1:] for row in comparison.texts()}
    assert rows['POA, vit-s, epochs 0'] == ['76.8 / 75.5 / -1.30', '77.6 / 77.25 / -0.35']
    assert rows['POA, vit-b, epochs 0'] == ['80.9 / not run', '81.7 / not run']
    assert rows['iBOT, vit-s, epochs 3200'] == ['75.2', '77.9']
    (grid,) = compare([tables['13']], [OURS])
    assert grid.ours[0][0] == OURS
    assert sum(one is not None for row in grid.ours for one in row) == 1
    text = grid.markdown()
    assert text.startswith('## Table 13: k-NN accuracy of every ViT sub-network\n\nThe seventh row')
    assert '| depth 12 | 76.78 / 75.5 / -1.28 | 78.42 / not run |' in text


def test_a_number_that_the_paper_lacks(tables):
    (comparison,) = compare([tables['1a']], [])
    assert next(comparison.texts()) == ['VICReg, resnet-50, epochs 2000', '-', '73.2']


def test_numbers_have_the_decimals_of_the_paper(tables):
    (comparison,) = compare([tables['20']], [])
    assert next(comparison.texts())[1:] == ['41', '2048', '82.0', '1152']


@pytest.mark.parametrize(
    ('other', 'words'),
    [
        ({'source': 'b.pth', 'source_sha256': 'beef'}, r'of a.pth \(f00d\) and b.pth \(beef\)'),
        ({'data_sha256': 'c0de'}, r'on imagenet-1k \(\) and imagenet-1k \(c0de\)'),
        ({'settings': {'k': 20, 'temperature': 1}}, "with settings {'k': 20} and "),
    ],
)
def test_results_that_do_not_belong_together(tables, other, words):
    with pytest.raises(ValueError, match=f'table 1c: 2 results for knn top1 of w384-d12, {words}'):
        compare([tables['1c']], [OURS, replace(OURS, **other)])


def test_a_row_with_a_number_too_few(tmp_path):
    path = tmp_path / 'paper.yaml'
    path.write_text(
        'tables: [{table: 9, title: t, say: {}, columns: [{label: a}, {label: b}], '
        'rows: [{method: POA, values: [1]}]}]'
    )
    with pytest.raises(ValueError, match='table 9: 1 values for 2 columns in the row POA'):
        read_paper(path)
