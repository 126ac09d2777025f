"""The tools answer before they import what they work with: one Python asks all of them."""

import json
import subprocess
import sys

import pytest
from helpers import ROOT

TOOLS = sorted(path.name for path in (ROOT / 'tools').glob('*.py'))
SCRIPT = """
import contextlib, io, json, runpy, sys

SLOW = {'torch', 'numpy', 'mmengine', 'mmcv', 'mmpretrain', 'mmdet', 'mmseg', 'matplotlib'}

def answer(argv):
    sys.argv, out, err = argv, io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            runpy.run_path(argv[0], run_name='__main__')
            code = 0
        except SystemExit as end:
            code = end.code
    return {
        'code': code,
        'out': out.getvalue(),
        'err': err.getvalue(),
        'slow': sorted(SLOW & set(sys.modules)),
    }

print(json.dumps([answer(argv) for argv in json.loads(sys.argv[1])]))
"""


def ask(folder, *commands):
    """Answers of tools, one after the other in one process."""
    argvs = [[str(ROOT / 'tools' / tool), *map(str, args)] for tool, *args in commands]
    done = subprocess.run(
        [sys.executable, '-c', SCRIPT, json.dumps(argvs)],
        capture_output=True,
        text=True,
        cwd=folder,
        env={'PYTHONPATH': str(ROOT), 'COLUMNS': '80'},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_help_is_there_at_once_and_fits_a_screen(tmp_path):
    answers = ask(tmp_path, *([tool, '--help'] for tool in TOOLS))
    for tool, answer in zip(TOOLS, answers, strict=True):
        assert answer['code'] == 0, answer['err']
        assert answer['out'].startswith(f'usage: {tool}')
        assert len(answer['out'].splitlines()) <= 40
        assert '--traceback' in answer['out']
        assert answer['slow'] == [], tool
    assert not list(tmp_path.iterdir())


@pytest.fixture
def folder(tmp_path):
    for name in ('there.pth', 'there.py', 'there.npz', 'there.onnx.md'):
        (tmp_path / name).write_text('mine')
    (tmp_path / 'images').mkdir()
    return tmp_path


WRONG = {
    # no such file
    ('convert_official.py', 'none.pth', 'out.pth'): 'no checkpoint at none.pth',
    ('eval_knn.py', 'none.pth'): 'no checkpoint at none.pth',
    ('eval_knn.py', 'images'): 'no checkpoint at images, which is a folder',
    ('eval_knn.py', 'there.pth', '--config', 'none.py'): 'no config at none.py',
    ('export_subnet.py', 'none.pth', 'vit-s', '--to', 'timm'): 'no checkpoint at none.pth',
    ('extract_features.py', 'none.pth', 'images', 'a.npz'): 'no checkpoint at none.pth',
    ('extract_features.py', 'there.pth', 'none', 'a.npz'): 'there is no image folder none',
    ('extract_subnet.py', 'none.pth', 'vit-s', 'out.pth'): 'no checkpoint at none.pth',
    ('make_subset.py', 'none', 'a.txt', '--percent', '1'): 'there is no image folder none',
    ('pick_subnet.py', 'none.pth', '--max-params', '3M'): 'no checkpoint at none.pth',
    ('pick_subnet.py', 'none.py', '--max-params', '3M'): 'no config at none.py',
    ('pick_subnet.py', 'there.pth', '--accuracy', 'none.csv'): 'no CSV file at none.csv',
    ('pretrain_cost.py', 'none.py'): 'no config at none.py',
    ('profile_subnets.py', 'none.py'): 'no config at none.py',
    ('report.py', 'none.pth'): 'no checkpoint at none.pth',
    ('report.py', 'there.pth', '--run', 'none'): 'there is no work dir none',
    ('seg_linear_sweep.py', 'none.py'): 'no config at none.py',
    ('test.py', 'none.py', 'there.pth'): 'no config at none.py',
    ('test.py', 'there.py', 'none.pth'): 'no checkpoint at none.pth',
    ('train.py', 'none.py'): 'no config at none.py',
    ('train.py', 'there.py', '--resume', 'none.pth'): 'no checkpoint to resume from at none.pth',
    # a file that would be replaced
    ('convert_official.py', 'there.pth', 'there.pth'): 'there.pth exists already',
    ('export_subnet.py', 'there.pth', 's', 'there.onnx', '--to', 'onnx'): 'there.onnx.md exists',
    ('extract_features.py', 'there.pth', 'images', 'there.npz'): 'there.npz exists already',
    ('extract_subnet.py', 'there.pth', 'vit-s', 'there.pth'): 'there.pth exists already',
    ('make_subset.py', 'images', 'there.py', '--per-class', '1'): 'there.py exists already',
    # words that mean nothing
    ('train.py', 'there.py', '--cfg-options', 'max_iters'): 'write KEY=VALUE',
    ('train.py', 'there.py', '--cfg-options', '=3'): 'write KEY=VALUE',
}


def test_wrong_paths_are_named_at_once(folder):
    answers = ask(folder, *WRONG)
    for (command, message), answer in zip(WRONG.items(), answers, strict=True):
        assert answer['code'] == 2, command
        assert f'error: {message}' in answer['err'].replace('argument --cfg-options: ', ''), command
        assert answer['slow'] == [], command
    assert (folder / 'there.pth').read_text() == 'mine'
