"""CSV and table of k-NN results."""

import csv

import pytest
from rich.console import Console

from poa_mm.evaluation import KnnRow, knn_table, save_csv

PIXELS = {'raw': 7.5, 'normalised': 8.5}


def make_row(width=384, depth=12, accuracy=76.78, untrained=None, pixels=None, name=''):
    return KnnRow(
        subnet=f'w{width}-d{depth}',
        name=name,
        width=width,
        depth=depth,
        params=21_665_664,
        feature='cls',
        accuracies={10: accuracy - 1, 20: accuracy, 200: accuracy - 2},
        untrained=untrained,
        pixels=pixels,
    )


def text(table):
    console = Console(width=120)
    with console.capture() as capture:
        console.print(table)
    return capture.get()


def test_csv_holds_every_k(tmp_path):
    rows = [make_row(name='vit-s'), make_row(768, accuracy=80.86)]
    assert save_csv(iter(rows), tmp_path / 'knn.csv') == rows
    assert (tmp_path / 'knn.csv').read_text().splitlines() == [
        'subnet,name,width,depth,params,feature,k10,k20,k200',
        'w384-d12,vit-s,384,12,21665664,cls,75.780,76.780,74.780',
        'w768-d12,,768,12,21665664,cls,79.860,80.860,78.860',
    ]


def test_csv_holds_the_baselines(tmp_path):
    save_csv(
        [make_row(untrained=10.0, pixels={'raw': 0.0, 'normalised': 1.0})], tmp_path / 'knn.csv'
    )
    with (tmp_path / 'knn.csv').open() as file:
        (row,) = csv.DictReader(file)
    assert (row['untrained'], row['gain']) == ('10.000', '66.780')
    assert (row['raw_pixels'], row['normalised_pixels']) == ('0.000', '1.000')


def test_an_interrupted_run_keeps_its_rows(tmp_path):
    def interrupted():
        yield make_row()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        save_csv(interrupted(), tmp_path / 'knn.csv')
    assert (tmp_path / 'knn.csv').read_text().splitlines()[1].startswith('w384-d12')


def test_a_run_without_a_row_leaves_an_older_file_alone(tmp_path):
    def failing():
        raise ValueError('no data')
        yield

    (tmp_path / 'knn.csv').write_text('older results')
    with pytest.raises(ValueError, match='no data'):
        save_csv(failing(), tmp_path / 'knn.csv')
    assert (tmp_path / 'knn.csv').read_text() == 'older results'
    save_csv([make_row()], tmp_path / 'knn.csv')
    assert 'older' not in (tmp_path / 'knn.csv').read_text()


def test_a_few_subnets_are_listed():
    shown = text(knn_table([make_row(name='vit-s'), make_row(768, accuracy=80.86)]))
    assert 'k = 20' in shown
    assert 'untrained' not in shown
    line = next(line for line in shown.splitlines() if 'vit-s' in line)
    assert [cell.strip() for cell in line.strip('│').split('│')] == [
        'w384-d12',
        'vit-s',
        '21.67',
        '76.8',
    ]


def test_baselines_are_listed_with_the_gain():
    rows = [make_row(untrained=10.06, pixels=PIXELS), make_row(768, untrained=80.0, pixels=PIXELS)]
    shown = text(knn_table(rows))
    assert '│      10.1 │ +66.7 │' in shown
    assert '│      80.0 │  -3.2 │' in shown
    assert 'gain over the untrained supernet -3.2 to +66.7' in shown
    assert 'raw pixels 7.5, normalised pixels 8.5' in shown


def test_many_subnets_become_a_matrix():
    rows = [
        make_row(width, depth, accuracy=width / 10 + depth, untrained=50.0, pixels=PIXELS)
        for depth in range(12, 17)
        for width in range(384, 705, 64)
    ]
    lines = text(knn_table(rows[:-1])).splitlines()
    header = next(line for line in lines if 'depth' in line and '384' in line)
    assert header.split('┃')[2].strip() == '384'
    cells = next(line for line in lines if line.startswith('│ 13')).strip('│').split('│')
    assert [float(cell) for cell in cells] == [13, 51.4, 57.8, 64.2, 70.6, 77.0, 83.4]
    last = next(line for line in lines if line.startswith('│ 16')).strip('│').split('│')
    assert last[-1].strip() == '', 'a sub-network that was not evaluated stays blank'
    assert any('raw pixels 7.5' in line for line in lines)
