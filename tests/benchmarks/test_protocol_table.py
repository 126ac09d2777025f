"""The table of all protocols shows each number in its place."""

import pytest
from helpers import load_tool

from poa_mm.evaluation import Result, append_results


def results(source='a'):
    knn = {'k': 20, 'feature': 'mean'}
    for settings, value in ((knn, 16.04), ({**knn, 'k': 10}, 1.0), ({**knn, 'feature': 'cls'}, 2)):
        yield Result('knn', 'top1', value, 'w32-d2', settings=settings, source_sha256=source)
    better = {'k': 20, 'feature': 'best'}
    yield Result('knn', 'untrained_top1', 9.96, 'w32-d2', settings=better, source_sha256=source)
    only_k = {'k': 20}
    yield Result('knn', 'raw_pixels_top1', 10.8, 'pixels', settings=only_k, source_sha256=source)
    yield Result('linear', 'pixels_top1', 14.3, 'pixels', source_sha256=source)
    yield Result('label_free', 'alpha_req', 1.265, 'w64-d4', unit='', source_sha256=source)


def test_numbers_stand_in_their_rows_and_columns(tmp_path, capsys):
    append_results(tmp_path / 'results.jsonl', results())
    assert load_tool('protocol_table', 'benchmarks').main([str(tmp_path / 'results.jsonl')]) == 0
    head, _, *rows = (line.split(' | ') for line in capsys.readouterr().out.splitlines())
    shown = {row[0].strip('| '): dict(zip(head, row, strict=True)) for row in rows}
    assert list(shown) == ['`w32-d2`', '`w64-d4`', 'raw pixels', 'normalised pixels']
    assert shown['`w32-d2`']['k-NN, mean patch'] == '16.0 (10.0)'
    assert shown['`w32-d2`']['k-NN, class token'] == '2.0 (10.0)'
    assert shown['`w64-d4`']['α-ReQ |'] == '1.26 |'
    assert shown['raw pixels']['k-NN, mean patch'] == '10.8'
    assert shown['normalised pixels']['linear'] == '14.3'


@pytest.mark.parametrize(
    ('names', 'error'),
    [
        (['results.jsonl'], "error: results of 2 checkpoints: ['a', 'b']"),
        (['no.jsonl'], 'error: no file of results at no.jsonl'),
    ],
)
def test_what_makes_no_table_is_refused_in_a_line(names, error, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    append_results(tmp_path / 'results.jsonl', [*results(), *results('b')])
    assert load_tool('protocol_table', 'benchmarks').main(names) == 2
    assert capsys.readouterr().err.splitlines() == [error]
