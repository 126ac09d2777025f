#!/usr/bin/env python
"""Seconds until the tools answer, and their ratio to ``import torch``.

python benchmarks/startup.py
python benchmarks/startup.py --root OTHER_CHECKOUT
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table

ROOT = Path(__file__).resolve().parents[1]
REFERENCE = 'import torch'
CONFIG = 'configs/pretrain/poa_vit-l.py'
COMMANDS = {
    REFERENCE: ['-c', 'import torch'],
    'import poa_mm': ['-c', 'import poa_mm'],
    'poa_mm.load_supernet': ['-c', 'import poa_mm; poa_mm.load_supernet'],
    'train.py --help': ['tools/train.py', '--help'],
    'eval_knn.py --help': ['tools/eval_knn.py', '--help'],
    'train.py, no such config': ['tools/train.py', 'none.py'],
    'eval_knn.py, no such checkpoint': ['tools/eval_knn.py', 'none.pth'],
    'pick_subnet.py, ViT-L': ['tools/pick_subnet.py', CONFIG, '--max-params', '100M'],
}


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--root', type=Path, default=ROOT, help='checkout to time (this one)')
    parser.add_argument('--repeats', type=int, default=5, help='starts of each command')
    return parser.parse_args()


def main() -> None:
    """Print a table of medians."""
    args = parse_args()
    root = args.root.resolve()
    seconds: dict[str, list[float]] = {name: [] for name in COMMANDS}
    # In turns, so that a slow minute of the machine meets all of them.
    turns = [name for _ in range(args.repeats) for name in COMMANDS]
    for name in track(turns, 'starts', console=Console(stderr=True), transient=True):
        seconds[name].append(start(COMMANDS[name], root))
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    table = Table('', 'seconds', 'of import torch', 'modules')
    for name, median in medians.items():
        modules = count_modules(COMMANDS[name], root) if name.startswith('import') else ''
        table.add_row(name, f'{median:.2f}', f'{median / medians[REFERENCE]:.2f}', modules)
    Console().print(table)


def start(command: list[str], root: Path) -> float:
    """CPU seconds of a command, which on an idle machine are the seconds that a user waits."""
    before = _cpu_seconds()
    _run([str(root / part) if (root / part).is_file() else part for part in command], root)
    return _cpu_seconds() - before


def _cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _run(command: list[str], root: Path) -> str:
    """Run Python on a checkout, from a folder that vanishes; what it prints."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, '-W', 'ignore', *command],
            capture_output=True,
            text=True,
            check=False,
            cwd=folder,
            env={**os.environ, 'PYTHONPATH': str(root), 'OMP_NUM_THREADS': '1'},
        )
    return done.stdout.strip()


def count_modules(command: list[str], root: Path) -> str:
    """How many modules there are after a ``-c`` command."""
    return _run(['-c', f'{command[1]}; import sys; print(len(sys.modules))'], root)


if __name__ == '__main__':
    main()
