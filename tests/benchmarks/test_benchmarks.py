"""The benchmarks run, and what they rest on holds."""

import re
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from helpers import ROOT, load_tool
from ranks import exit_code_of

from poa_mm.models.losses import chunks

IMAGES = ROOT.parent / 'shared' / 'data' / 'imagenet_sample'


@pytest.fixture
def run(monkeypatch, capsys):
    """Run a benchmark in this process; what it prints."""

    def run(module, *args):
        monkeypatch.setattr(sys, 'argv', [f'{module.__name__}.py', *map(str, args)])
        module.main()
        return capsys.readouterr().out

    return run


def measure_smaller(what, batch, plain, out):
    """Measure with a fifth of the paper's prototypes, in chunks that are smaller by as much."""
    torch.set_num_threads(1)
    chunks.MAX_LOGITS = 2**22
    module = load_tool('step_memory', 'benchmarks')
    model_config = module.model_config

    def smaller(what):
        config = model_config(what)
        config['head'].setdefault('num_prototypes', [8192, 16384])
        return config

    module.model_config = smaller
    module.measure(what, batch, plain, out)


@pytest.mark.slow
@pytest.mark.parametrize(('what', 'batch'), [('heads', 8), ('students', 2)])
def test_what_saves_memory_changes_no_gradient(what, batch, run, monkeypatch):
    module = load_tool('step_memory', 'benchmarks')

    def start(command, check):
        options = dict(zip(command[3::2], command[4::2], strict=True))
        plain, out = options['--run'] == 'plain', Path(options['--out'])
        assert check
        assert int(options['--batch-size']) == batch
        assert exit_code_of(measure_smaller, command[2], batch, plain, out) == 0

    monkeypatch.setattr(module, 'subprocess', SimpleNamespace(run=start))
    out = run(module, what, '--batch-size', batch)
    difference = float(re.search(r'difference of a gradient:\s+(\S+)', out)[1])
    assert difference < 1e-5
    plain, saving = (float(gib) for gib in re.findall(r'│ +([\d.]+) GiB', out))
    assert saving < plain


@pytest.mark.slow
@pytest.mark.skipif(not IMAGES.is_dir(), reason=f'no real images at {IMAGES}')
def test_vit_l_takes_a_real_step(run):
    """At its full widths and with all prototypes, but with two blocks of its 24."""
    config = ROOT / 'configs' / 'pretrain' / 'poa_vit-l.py'
    blocks = ['model.backbone.arch.num_layers=2', 'model.backbone.depths=[1,2]']
    options = ['--steps', 1, '--warmup', 0, '--cfg-options', *blocks]
    out = run(load_tool('pretrain_step', 'benchmarks'), config, IMAGES, *options)
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
