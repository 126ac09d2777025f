"""Lines of results: written whole, read back, told apart."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poa_mm.evaluation import Result, append_results, latest, read_results
from poa_mm.evaluation.results import data_name, data_sha256, file_sha256

ONE = Result('knn', 'top1', 76.78, 'w384-d12', 'vit-s', settings={'k': 20}, seconds=1.5)


class Images:
    def __init__(self, files, classes=('cat', 'dog')):
        self.metainfo = {'classes': classes}
        self.files = files

    def __len__(self):
        return len(self.files)

    def get_data_info(self, index):
        return {'img_path': str(self.files[index]), 'gt_label': index % 2}


TEXT = st.text(st.characters(blacklist_categories=['Cs']), max_size=20)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(TEXT, TEXT, st.floats(allow_nan=False, allow_infinity=False))))
def test_what_is_written_is_read(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp('results') / 'new' / 'r.jsonl'
    results = [Result(p, 'top1', value, n, settings={p: [n, None]}) for p, n, value in rows]
    append_results(path, results[:1])
    append_results(path, results[1:])
    assert list(read_results(path)) == results


def test_a_line_cut_by_a_kill_spoils_no_other(tmp_path):
    path = tmp_path / 'r.jsonl'
    append_results(path, [ONE, replace(ONE, value=1.0)])
    path.write_bytes(path.read_bytes()[:-40])
    append_results(path, [replace(ONE, value=2.0)])
    assert [result.value for result in read_results(path)] == [76.78, 2.0]


@pytest.mark.parametrize(
    ('text', 'words'),
    [
        ('not json', 'is no file of results: line 1 is no JSON'),
        ('{"protocol": "knn"}', 'line 1 is no result: .*missing'),
        ('[1, 2]', 'line 1 is no result'),
        (
            '{"protocol": "knn", "metric": "top1", "network": "a", "value": NaN}',
            'knn top1 of a is nan, which is not a finite number',
        ),
    ],
)
def test_what_is_no_result_is_named(tmp_path, text, words):
    path = tmp_path / 'r.jsonl'
    path.write_text(text)
    with pytest.raises(ValueError, match=rf'{path}.*{words}'):
        list(read_results(path))


def test_files_of_later_versions_are_read(tmp_path):
    path = tmp_path / 'r.jsonl'
    append_results(path, [ONE])
    path.write_text(json.dumps({**json.loads(path.read_text()), 'new': 1}) + '\n')
    assert list(read_results(path)) == [ONE]


def test_a_measurement_repeated_replaces_the_one_before():
    again = replace(ONE, value=77.0, seconds=9.0)
    others = [
        replace(ONE, settings={'k': 10}),
        replace(ONE, source_sha256='b'),
        replace(ONE, data_sha256='c'),
        replace(ONE, network='w448-d12'),
        replace(ONE, metric='macro'),
    ]
    assert latest([ONE, *others, again]) == [again, *others]


def test_hashes_tell_files_and_data_apart(tmp_path):
    first, second = tmp_path / 'cat' / '1.png', tmp_path / 'dog' / '2.png'
    for path, size in ((first, 3), (second, 4)):
        path.parent.mkdir()
        path.write_bytes(bytes(size))
    known = '709e80c88487a2411e1ee4dfb9f22a861492d20c4765150c0c794abd70f8147c'  # of three zeros
    assert file_sha256(first) == known
    digest = data_sha256(Images([first, second]))
    moved = tmp_path / 'elsewhere'
    for path in (first, second):
        copy = moved / path.relative_to(tmp_path)
        copy.parent.mkdir(parents=True)
        copy.write_bytes(path.read_bytes())
    assert data_sha256(Images([moved / 'cat/1.png', moved / 'dog/2.png'])) == digest
    others = [
        Images([second, first]),
        Images([first]),
        Images([first, second], classes=('dog', 'cat')),
    ]
    second.write_bytes(bytes(5))
    others.append(Images([first, second]))
    assert len({digest, *map(data_sha256, others)}) == 5


def test_names_of_data():
    images = Images([Path('a')] * 4)
    assert data_name(images) == 'Images'
    images.data_root = '/data/flowers/val/'
    assert data_name(images) == 'flowers/val'
    validation = Images(range(50_000), classes=range(1000))
    assert data_name(validation) == 'imagenet-1k'
