"""The table of fine-tuning has the means of the runs that have ended."""

import json

import pytest
from helpers import load_tool

tool = load_tool('finetune_table', 'benchmarks')


def write_run(folder, name, *values, ended=True):
    path = folder / name / '20260101_000000' / 'vis_data' / 'scalars.json'
    path.parent.mkdir(parents=True)
    lines = [{'loss': 1.0}, *({'accuracy/top1': value} for value in values)]
    path.write_text(''.join(f'{json.dumps(line)}\n' for line in lines))
    if ended:
        (folder / name / 'done').touch()


def test_means_and_differences(tmp_path, capsys):
    write_run(tmp_path, 'fine-tuned-smallest-10-seed0', 10.0, 50.0)
    write_run(tmp_path, 'fine-tuned-smallest-10-seed1', 54.0)
    write_run(tmp_path, 'fine-tuned-smallest-10-seed2', 99.0, ended=False)
    write_run(tmp_path, 'scratch-smallest-10-seed0', 26.0)
    write_run(tmp_path, 'distilled-smallest-10-seed0', 55.0)
    write_run(tmp_path, 'scratch-w64-d4-1-seed0', 12.0)
    (tmp_path / 'images').mkdir()
    assert tool.main([str(tmp_path)]) == 0
    _, _, *rows = capsys.readouterr().out.splitlines()
    assert rows == [
        '| `smallest` | 10 % | 52.0 ± 2.8 | 26.0 | +26.0 | 2.00 | 55.0 |',
        '| `w64-d4` | 1 % |  | 12.0 |  |  |  |',
    ]


@pytest.mark.parametrize(('name', 'error'), [('none', 'none'), ('.', 'no run in . has ended')])
def test_folders_without_runs(name, error, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert tool.main([name]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert error in line
