"""tools/compare_paper.py on results of a run."""

from helpers import load_tool

from poa_mm.evaluation import Result, append_results

OURS = Result('knn', 'top1', 76.0, 'w384-d12', 'vit-s', data='imagenet-1k', settings={'k': 20})


def test_text_and_markdown(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv('COLUMNS', '160')
    tool = load_tool('compare_paper')
    results, page = tmp_path / 'r.jsonl', tmp_path / 'new' / 'page.md'
    append_results(results, [OURS])
    assert tool.main([str(results), '--table', '1c', '--markdown', str(page)]) == 0
    printed = capsys.readouterr().out
    assert 'Table 1c: k-NN and linear probing, ViT' in printed
    assert '76.8 / 76 / -0.80' in printed
    assert 'Table 13' not in printed
    assert '| POA, vit-s, epochs 0 | 76.8 / 76 / -0.80 | 77.6 / not run |' in page.read_text()
    assert tool.main([str(results), '--markdown', str(page)]) == 2
    assert 'exists already' in capsys.readouterr().err
    assert tool.main([str(results), '--markdown', str(page), '--overwrite']) == 0
    assert page.read_text().count('\n## Table ') == 23


def test_what_is_wrong_is_named(tmp_path, capsys):
    tool = load_tool('compare_paper')
    assert tool.main(['--table', '99']) == 2
    assert "there is no table '99'; valid: 1a, 1b" in capsys.readouterr().err
    assert tool.main([str(tmp_path / 'none.jsonl')]) == 2
    assert f'no file of results at {tmp_path}/none.jsonl' in capsys.readouterr().err
