"""The shell scripts of benchmarks/seg.md go on where they were stopped."""

import os
import subprocess

import pytest
from helpers import ROOT

# Stands in for Python: leaves what the tools leave, and a line for each call.
PYTHON = """#!/usr/bin/env bash
echo "$1" >> "$CALLS"
[ "$1" != "$STOP" ] || exit 1
while [ $# -gt 0 ]; do
    case $1 in
        benchmarks/mask_subset.py) mkdir -p "$3" ;;
        --work-dir)
            mkdir -p "$2"
            touch "$2"/{best,iter_1000}.pth
            echo "$2/iter_1000.pth" > "$2/last_checkpoint" ;;
        --show-dir) mkdir "$2"; touch "$2/drawn.png" ;;
    esac
    shift
done
"""
STEPS = {
    'overfit_seg.sh': [
        'benchmarks/mask_subset.py',
        'tools/train.py',
        'tools/train.py',
        'tools/test.py',
    ],
    'linear_seg.sh': ['benchmarks/mask_subset.py', 'tools/train.py', 'tools/train.py']
    + ['tools/seg_linear_sweep.py'] * 2,
}


@pytest.fixture
def start(tmp_path):
    """Runs a script; the exit code and the tools that it has called."""
    python = tmp_path / 'python'
    python.write_text(PYTHON)
    python.chmod(0o755)

    def call(script, stop=''):
        calls = tmp_path / 'calls'
        calls.write_text('')
        result = subprocess.run(
            [ROOT / 'benchmarks' / script, tmp_path / 'coco', tmp_path / 'out'],
            env={**os.environ, 'PYTHON': python, 'CALLS': calls, 'STOP': stop, 'SEEDS': '0'},
            check=False,
        )
        return result.returncode, calls.read_text().split()

    return call


@pytest.mark.parametrize('script', STEPS)
def test_finished_steps_are_skipped(start, script):
    assert start(script) == (0, STEPS[script])
    assert start(script) == (0, [])


@pytest.mark.parametrize('script', STEPS)
def test_a_step_that_failed_is_done_again(start, script):
    last = STEPS[script][-1]
    before = STEPS[script][: STEPS[script].index(last)]
    assert start(script, stop=last) == (1, [*before, last])
    assert start(script) == (0, STEPS[script][len(before) :])
