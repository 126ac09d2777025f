"""tools/dist_test.sh: its rules with a stand-in for Python, and two processes together."""

import json
import os
import subprocess
import sys

import pytest
from helpers import ROOT, load_tool
from mmdet.visualization import DetLocalVisualizer
from ranks import run_tool_on_ranks
from tiny.scenes import write_coco, write_config

SCRIPT = ROOT / 'tools' / 'dist_test.sh'


def launch(*args, **variables):
    env = {key: value for key, value in os.environ.items() if key not in ('PORT', 'PYTHON')}
    return subprocess.run(
        ['bash', str(SCRIPT), *map(str, args)],
        env={**env, **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def test_what_is_passed_on():
    words = launch('c.py', 'e.pth', 4, '--out', 'p.pkl', PYTHON='echo', PORT='7').stdout.split()
    assert words == [
        *('-m', 'torch.distributed.run', '--master_port', '7', '--nproc_per_node', '4'),
        *(str(ROOT / 'tools' / 'test.py'), 'c.py', 'e.pth', '--launcher', 'pytorch'),
        *('--out', 'p.pkl'),
    ]


@pytest.mark.parametrize(
    'args', [(), ('c.py', 'e.pth'), ('c.py', 'e.pth', 0), ('c.py', 'e.pth', 'x')]
)
def test_usage(args):
    result = launch(*args, PYTHON='echo')
    assert (result.returncode, result.stdout) == (2, '')
    assert result.stderr.startswith('usage: tools/dist_test.sh CONFIG CHECKPOINT NUM_GPUS')


def figures(folder):
    (path,) = [p for p in folder.rglob('*.json') if p.name != 'scalars.json']
    return {k: v for k, v in json.loads(path.read_text()).items() if k.startswith('coco/')}


@pytest.mark.slow
def test_two_processes_find_what_one_finds(tmp_path, monkeypatch):
    write_coco(tmp_path / 'coco')
    config = write_config(tmp_path / 'config.py', tmp_path / 'coco')
    work = {name: tmp_path / name for name in ('train', 'one', 'two')}
    checkpoint = work['train'] / 'iter_2.pth'
    for tool, args in (
        ('train', [config, '--work-dir', work['train']]),
        ('test', [config, checkpoint, '--work-dir', work['one']]),
    ):
        DetLocalVisualizer._instance_dict.clear()  # mmdet gives all runs' visualisers one name
        monkeypatch.setattr(sys, 'argv', [tool, *map(str, args)])
        assert load_tool(tool).main() == 0
    run_tool_on_ranks('test', 2, config, checkpoint, '--work-dir', work['two'])
    assert len(figures(work['one'])) == 12
    assert figures(work['two']) == figures(work['one'])
