"""Finished parts survive whatever kills an evaluation."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poa_mm.evaluation import Journal

ABOUT = {'checkpoint': 'c0', 'k': [10, 20]}


def test_parts_are_there_for_the_next_run(tmp_path):
    path = tmp_path / 'out' / 'parts.jsonl'
    first = Journal(path, ABOUT)
    assert not path.parent.exists()
    first.add('w16-d2', {'20': 1 / 3})
    first.add('w24-d3', None)
    second = Journal(path, {'k': (10, 20), 'checkpoint': 'c0'})
    assert second.done == {'w16-d2': {'20': 1 / 3}, 'w24-d3': None}
    second.close()
    assert Journal(path, ABOUT).done == {}


@pytest.mark.parametrize(
    ('about', 'differing'),
    [
        ({**ABOUT, 'checkpoint': 'c1'}, 'checkpoint'),
        ({**ABOUT, 'k': [10]}, 'k'),
        ({}, 'checkpoint'),
    ],
)
def test_another_evaluation_is_refused(tmp_path, about, differing):
    Journal(tmp_path / 'parts.jsonl', ABOUT).add('net', 1)
    message = f'holds an unfinished evaluation with another {differing} .*--overwrite'
    with pytest.raises(ValueError, match=message):
        Journal(tmp_path / 'parts.jsonl', about)
    assert Journal(tmp_path / 'parts.jsonl', about, overwrite=True).done == {}


def test_a_file_of_something_else_is_refused(tmp_path):
    (tmp_path / 'parts.jsonl').write_text('mine\n')
    with pytest.raises(ValueError, match='holds an unfinished evaluation with another'):
        Journal(tmp_path / 'parts.jsonl', ABOUT)


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp('journal') / 'parts.jsonl'
    journal = Journal(path, ABOUT)
    for number in range(4):
        journal.add(f'net {number}', {'accuracy': number / 3, 'ä': 'ü'})
    return path


@given(st.data())
def test_a_run_that_is_killed_anywhere_goes_on(whole, data):
    content = whole.read_bytes()
    start = content.index(b'\n') + 1
    cut = data.draw(st.integers(start, len(content)))
    path = whole.with_name('cut.jsonl')
    path.write_bytes(content[:cut])
    journal = Journal(path, ABOUT)
    finished = content[:cut].count(b'\n') - 1
    assert len(journal.done) in (finished, finished + 1)  # a line without its end may be whole
    assert all(part['accuracy'] == int(key[-1]) / 3 for key, part in journal.done.items())
    journal.add('net 9', {'accuracy': 3})
    assert set(Journal(path, ABOUT).done) == {*journal.done}
