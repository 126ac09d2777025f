"""CSV files of results: written row by row, read with checks."""

import csv

import pytest

from poa_mm.evaluation import KnnRow
from poa_mm.tables import depth_cell, read_csv, save_csv


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


def test_a_depth_of_stages_is_one_cell(tmp_path):
    assert (depth_cell(12), depth_cell((3, 4, 6, 3))) == ('12', '3-4-6-3')
    save_csv([make_row(depth=(3, 4, 6, 3))], tmp_path / 'knn.csv')
    (row,) = read_csv(tmp_path / 'knn.csv', ['width'])
    assert (row['width'], row['depth']) == ('384', '3-4-6-3')


def test_what_was_written_is_read(tmp_path):
    rows = save_csv([make_row(name='vit-s'), make_row(768)], tmp_path / 'knn.csv')
    read = read_csv(tmp_path / 'knn.csv', ['subnet', 'k20'])
    assert read == [{key: str(cell) for key, cell in row.cells().items()} for row in rows]


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (b'', 'has no column subnet, k20; its columns are none'),
        (b'subnet,k10\nw384-d12,76\n', 'has no column k20; its columns are subnet, k10'),
        (b'subnet,k20\n', 'has no rows'),
        (b'subnet,k20\nw384-d12,76.1\nw384-\n', 'row 2 has not as many cells as the header'),
        (b'subnet,k20\nw384-d12,76.1,5\n', 'row 1 has not as many cells as the header'),
        (b'PK\x03\x04\xff\xfe', 'cannot be read as CSV'),
        (b'subnet,k20\n"w384', 'cannot be read as CSV'),
    ],
)
def test_other_files_are_refused(tmp_path, content, message):
    path = tmp_path / 'other.csv'
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message) as error:
        read_csv(path, ['subnet', 'k20'])
    assert str(path) in str(error.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'no CSV file at .*none\.csv'):
        read_csv(tmp_path / 'none.csv', ['subnet'])
