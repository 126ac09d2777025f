"""The benchmarks run, and what they rest on holds."""

import re
import subprocess
import sys

import pytest
import torch
from helpers import ROOT, load_tool

IMAGES = ROOT.parent / 'shared' / 'data' / 'imagenet_sample'


def run(script, *args):
    command = [sys.executable, str(ROOT / 'benchmarks' / script), *map(str, args)]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert result.returncode == 0, result.stderr[-3000:]
    return result.stdout


@pytest.mark.slow
@pytest.mark.parametrize(('what', 'batch'), [('heads', 8), ('students', 2)])
def test_what_saves_memory_changes_no_gradient(what, batch):
    out = run('step_memory.py', what, '--batch-size', batch)
    difference = float(re.search(r'difference of a gradient:\s+(\S+)', out)[1])
    assert difference < 1e-5
    plain, saving = (float(gib) for gib in re.findall(r'│ +([\d.]+) GiB', out))
    assert saving < plain


@pytest.mark.slow
@pytest.mark.skipif(not IMAGES.is_dir(), reason=f'no real images at {IMAGES}')
def test_vit_l_takes_a_real_step():
    """At its full widths and with all prototypes, but with two of its 24 blocks."""
    config = ROOT / 'configs' / 'pretrain' / 'poa_vit-l.py'
    blocks = ['model.backbone.arch.num_layers=2', 'model.backbone.depths=[1,2]']
    options = ['--steps', 1, '--warmup', 0, '--cfg-options', *blocks]
    out = run('pretrain_step.py', config, IMAGES, *options)
    terms = dict(re.findall(r'(\w+) (\d+\.\d+)', out.splitlines()[-3]))
    assert {'loss', 'intact_global', 'same_view_local', 'elastic_patch', 'intact_koleo'} <= set(
        terms
    )
    assert float(terms['loss']) > 0


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (['--steps', '3'], '--steps must exceed --warmup, got 3 and 3'),
        (['--warmup', '-1'], '--steps must exceed --warmup, got 10 and -1'),
        pytest.param(
            ['other.py'],
            'without a GPU, time one config at a time',
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason='there is a GPU'),
        ),
    ],
)
def test_what_a_detection_step_cannot_measure(options, message, monkeypatch, capsys):
    monkeypatch.setattr(sys, 'argv', ['det_step.py', 'config.py', *options])
    with pytest.raises(SystemExit) as end:
        load_tool('det_step', 'benchmarks').main()
    assert end.value.code == 2
    assert capsys.readouterr().err.splitlines()[-1] == f'det_step.py: error: {message}'
