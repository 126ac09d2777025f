#!/usr/bin/env python
"""Pre-train on real photographs, evaluate every sub-network, extract one."""

import argparse
import itertools
import os
import subprocess
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.rule import Rule

from poa_mm import cli

TOOLS = Path(__file__).parent
CONFIG = TOOLS.parent / 'configs/pretrain/poa_vit-tiny_photos.py'
CONSOLE = Console(highlight=False)


def run(*command: str | Path) -> None:
    """Run one of the tools with its arguments; if it fails, end with its exit code."""
    CONSOLE.print(f'[dim]$ python {" ".join(map(str, command))}[/dim]', soft_wrap=True)
    # Threads that wait for a core which a data loader holds make a small machine many times slower.
    threads = str(max(1, (os.cpu_count() or 1) - 1))
    environment = {'OMP_NUM_THREADS': threads, **os.environ}
    words = [sys.executable, *map(str, command)]
    code = subprocess.run(words, check=False, env=environment).returncode
    if code:
        print(f'error: {command[0]} failed, for the reason above', file=sys.stderr)
        sys.exit(code)


def free_folder(path: Path) -> Path:
    """Return the folder, or the first of its name with a number that does not exist yet."""
    numbered = (path.with_name(f'{path.name}-{number}') for number in itertools.count(2))
    return next(folder for folder in itertools.chain([path], numbered) if not folder.exists())


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog='Writes to work_dirs/demo, or to work_dirs/demo-2 and so on if that exists.',
    )
    cli.add_traceback(parser)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Run the demo."""
    return cli.run(demo, parse_args(argv))


def demo(args: argparse.Namespace) -> None:
    """Run the tools into work_dirs/demo, or into a new folder beside it."""
    options = ['--traceback'] if args.traceback else []
    work_dir = free_folder(Path('work_dirs/demo'))
    started = time.time()

    CONSOLE.print(Rule('1. Pre-train one elastic ViT on patches of 20 photographs'))
    run(TOOLS / 'train.py', CONFIG, '--work-dir', work_dir, *options)
    checkpoint = work_dir / (work_dir / 'last_checkpoint').read_text().strip().rsplit('/', 1)[-1]

    CONSOLE.print(Rule('2. k-NN of every sub-network, beside random weights and raw pixels'))
    run(TOOLS / 'eval_knn.py', checkpoint, '--baselines', '--out-dir', work_dir / 'knn', *options)

    CONSOLE.print(Rule('3. Extract the smallest sub-network as a stock mmpretrain backbone'))
    extracted = work_dir / 'smallest.pth'
    run(TOOLS / 'extract_subnet.py', checkpoint, 'smallest', extracted, *options)

    CONSOLE.print(Rule(f'Done in {(time.time() - started) / 60:.1f} minutes'))
    CONSOLE.print(
        f'checkpoint        {checkpoint}\n'
        f'accuracies        {work_dir}/knn/knn.csv\n'
        f'frontier plot     {work_dir}/knn/frontier.png\n'
        f'smallest network  {extracted}\n'
        f'learning curves   tensorboard --logdir {work_dir}\n\n'
        'Three things to try next:\n'
        '1. Another size: python tools/extract_subnet.py '
        f'{checkpoint} largest {work_dir}/largest.pth\n'
        '2. Your own images: python tools/train.py configs/pretrain/poa_vit-tiny_folder.py '
        '--cfg-options train_dataloader.dataset.data_root=/my/photos\n'
        '3. More images: python tools/train.py configs/pretrain/poa_vit-tiny_fashion-mnist.py',
        soft_wrap=True,
    )


if __name__ == '__main__':
    sys.exit(main())
