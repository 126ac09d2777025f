"""tools/dist_train.sh: its rules with a stand-in for Python, and a real run on two processes."""

import json
import math
import os
import socket
import subprocess
import sys

import pytest
import torch
from helpers import CONFIG, ROOT, load_tool

import poa_mm

SCRIPT = ROOT / 'tools' / 'dist_train.sh'
VARIABLES = ('NNODES', 'NODE_RANK', 'MASTER_ADDR', 'PORT', 'PYTHON')


def launch(*args, **variables):
    env = {key: value for key, value in os.environ.items() if key not in VARIABLES}
    return subprocess.run(
        ['bash', str(SCRIPT), *map(str, args)],
        env={**env, **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def command(*args, **variables):
    """The options of torchrun, and the command that it starts, instead of starting it."""
    result = launch(*args, PYTHON='echo', **variables)
    assert result.returncode == 0, result.stderr
    words = result.stdout.split()
    assert words[:2] == ['-m', 'torch.distributed.run']
    start = words.index(str(SCRIPT.parent / 'train.py'))
    options = words[2:start]
    return dict(zip(options[::2], options[1::2], strict=True)), words[start + 1 :]


def test_defaults_and_what_is_passed_on():
    options, train = command('c.py', 4, '--amp', '--cfg-options', 'a=1')
    assert options == {
        '--nnodes': '1',
        '--node_rank': '0',
        '--master_addr': '127.0.0.1',
        '--master_port': '29500',
        '--nproc_per_node': '4',
    }
    assert train == ['c.py', '--launcher', 'pytorch', '--amp', '--cfg-options', 'a=1']


def test_variables_reach_torchrun():
    options, _ = command('c.py', 4, NNODES='2', NODE_RANK='1', MASTER_ADDR='10.0.0.1', PORT='29501')
    assert options == {
        '--nnodes': '2',
        '--node_rank': '1',
        '--master_addr': '10.0.0.1',
        '--master_port': '29501',
        '--nproc_per_node': '2',
    }


@pytest.mark.parametrize(
    ('total', 'given', 'nodes', 'per_node'),
    [
        (1, None, 1, 1),
        (8, None, 1, 8),
        (10, None, 2, 5),
        (16, None, 2, 8),
        (32, None, 4, 8),
        (8, '4', 4, 2),
        (16, '1', 1, 16),
        (9, '3', 3, 3),
    ],
)
def test_nodes(total, given, nodes, per_node):
    """A node has eight GPUs unless NNODES says otherwise."""
    options, _ = command('c.py', total, **({'NNODES': given} if given else {}))
    assert (options['--nnodes'], options['--nproc_per_node']) == (str(nodes), str(per_node))


@pytest.mark.parametrize('args', [(), ('c.py',)])
def test_usage(args):
    result = launch(*args, PYTHON='echo')
    assert (result.returncode, result.stdout) == (2, '')
    assert result.stderr.startswith('usage: tools/dist_train.sh CONFIG NUM_GPUS')


@pytest.mark.parametrize('number', ['0', '-1', 'two', '2.5', '', '08', '--amp', '1+1'])
def test_a_number_of_gpus_that_is_none(number):
    result = launch('c.py', number, PYTHON='echo')
    assert (result.returncode, result.stdout) == (2, '')
    first = result.stderr.splitlines()[0]
    assert first == f'error: NUM_GPUS must be a positive number, got {number}'


@pytest.mark.parametrize(
    ('total', 'variables', 'message'),
    [
        (8, {'NNODES': 'two'}, 'error: NNODES must be a positive number, got two\n'),
        (8, {'NNODES': '0'}, 'error: NNODES must be a positive number, got 0\n'),
        (8, {'NNODES': '3'}, 'error: 8 GPUs do not divide among 3 nodes\n'),
        (9, {}, 'error: 9 GPUs do not divide among 2 nodes\n'),
    ],
)
def test_nodes_that_do_not_fit(total, variables, message):
    result = launch('c.py', total, PYTHON='echo', **variables)
    assert (result.returncode, result.stdout, result.stderr) == (2, '', message)


def free_port():
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return str(probe.getsockname()[1])


def options(folder, batch):
    """Of two real steps of the demo's config."""
    return [
        '--work-dir',
        str(folder),
        '--cfg-options',
        'train_cfg.max_iters=2',
        f'train_dataloader.batch_size={batch}',
        'train_dataloader.num_workers=0',
        'train_dataloader.persistent_workers=False',
        'train_dataloader.dataset.patches_per_photo=1',
        'default_hooks.logger.interval=1',
    ]


def rows_of(run):
    """What a run has logged."""
    (scalars,) = run.glob('*/vis_data/scalars.json')  # one process writes, not two
    return [json.loads(line) for line in scalars.read_text().splitlines()]


@pytest.mark.slow
def test_two_processes_train_as_one_with_the_double_batch(tmp_path, monkeypatch):
    run, alone = tmp_path / 'two', tmp_path / 'one'
    variables = {'PORT': free_port(), 'OMP_NUM_THREADS': '1', 'CUDA_VISIBLE_DEVICES': ''}
    result = launch(CONFIG, 2, *options(run, batch=8), PYTHON=sys.executable, **variables)
    assert result.returncode == 0, result.stderr[-3000:]
    rows = rows_of(run)
    assert [path.name for path in run.glob('*.pth')] == ['iter_2.pth']
    assert [row['step'] for row in rows] == [1, 2]
    assert all(math.isfinite(row['loss']) for row in rows)
    monkeypatch.setattr(sys, 'argv', ['train.py', str(CONFIG), *options(alone, batch=16)])
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    assert load_tool('train').main() == 0
    expected = rows_of(alone)
    for step in range(2):
        for name in ('loss', 'intact_global', 'elastic_local', 'same_view_global', 'grad_norm'):
            assert rows[step][name] == pytest.approx(expected[step][name], abs=1e-5), name
    teacher = poa_mm.load_supernet(run / 'iter_2.pth')
    other = poa_mm.load_supernet(alone / 'iter_2.pth')
    for mine, theirs in zip(teacher.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-4)
    assert all(parameter.isfinite().all() for parameter in teacher.parameters())
