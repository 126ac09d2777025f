#!/usr/bin/env python
"""Train what the claims of manifest.py need and the record lacks, and measure it.

    TINY_IMAGENET=/my/tiny_imagenet python benchmarks/claims/run.py FOLDER

Killed, it goes on where it was. What the record has is not trained again, whatever FOLDER holds.
"""

import argparse
import os
import subprocess
import sys
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from manifest import RUNS
from record import RECORD, current, done, read_rows
from runs import all_hashes, image_folder, write_halves

from poa_mm import cli

JOB = Path(__file__).with_name('job.py')
WAIT = 0.5  # seconds between looks at the processes


class Task(NamedTuple):
    """A run with a seed."""

    run: str
    seed: int

    def __str__(self) -> str:
        """Name it as its folder is named."""
        return f'{self.run}-seed{self.seed}'


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add('folder', type=Path, help='for checkpoints and logs')
    add('--runs', nargs='+', default=list(RUNS), metavar='RUN', help='default: all of manifest.py')
    add('--seeds', nargs='+', type=int, default=[0, 1, 2], metavar='SEED', help='default: 0 1 2')
    add('--jobs', type=int, default=1, help='runs side by side, a thread each (default: 1)')
    add('--record', type=Path, default=RECORD, help=f'CSV file (default: {RECORD.name} beside me)')
    add('--steps', type=int, help='a shorter trial; it makes a record of its own: give --record')
    add('--list', action='store_true', help='say what is missing, and train nothing')
    cli.add_traceback(parser)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Train and measure all that is missing."""
    return cli.run(run_all, parse_args(argv))


def run_all(args: argparse.Namespace) -> None:
    """Do what the command line says.

    Raises:
        ValueError: An unknown run, or options that do not fit.
        SystemExit: Runs failed; all others are done.
    """
    unknown = [name for name in args.runs if name not in RUNS]
    if unknown:
        raise ValueError(f'there is no run {unknown[0]}; valid: {", ".join(RUNS)}')
    for name in ('jobs', 'steps'):
        if getattr(args, name) is not None and getattr(args, name) < 1:
            raise ValueError(f'--{name} must be at least 1, got {getattr(args, name)}')
    if args.steps and args.record == RECORD:
        raise ValueError('--steps makes trials, which do not belong in the record: give --record')
    args.folder = args.folder.resolve()
    data = write_halves(image_folder(), args.folder)
    tasks = missing(args, data)
    if not args.list:
        work_off(args, tasks, data)


def missing(args: argparse.Namespace, data: str) -> list[Task]:
    """Return the runs that the record lacks, whole seeds of the first runs first."""
    from job import with_steps

    runs = {name: with_steps(RUNS[name], args.steps) for name in RUNS if name in args.runs}
    rows = read_rows(args.record)
    fresh = done(current(rows, all_hashes(runs), data))
    asked = [Task(run, seed) for seed in args.seeds for run in runs]
    for task in asked:
        if task in done(rows) - fresh:
            print(f'{task}: stale, of another config or other images; trained again', flush=True)
    tasks = [task for task in asked if task not in fresh]
    print(f'{len(asked) - len(tasks)} of {len(asked)} runs are in {args.record}', flush=True)
    if args.list:
        print('\n'.join(f'{task}: missing' for task in tasks))
    return tasks


def work_off(args: argparse.Namespace, tasks: Sequence[Task], data: str) -> None:
    """Run the tasks, as many side by side as asked for, with a line for each that ends."""
    waiting, failed, ended = deque(tasks), list[Task](), 0
    running: dict[Task, tuple[subprocess.Popen, float]] = {}
    try:
        while waiting or running:
            while waiting and len(running) < args.jobs:
                task = waiting.popleft()
                running[task] = start(args, task, data), time.monotonic()
                print(f'{task}: started', flush=True)
            time.sleep(WAIT)
            for task, (process, since) in list(running.items()):
                if process.poll() is None:
                    continue
                del running[task]
                ended += 1
                minutes = (time.monotonic() - since) / 60
                word = summary(args.record, task)
                if process.returncode:
                    failed.append(task)
                    word = f'FAILED, see {log_of(args, task)}'
                print(f'[{ended}/{len(tasks)}] {task}: {minutes:.1f} min, {word}', flush=True)
    finally:
        for process, _ in running.values():
            process.terminate()
    if failed:
        sys.exit(f'{len(failed)} of {len(tasks)} runs failed: {", ".join(map(str, failed))}')


def start(args: argparse.Namespace, task: Task, data: str) -> subprocess.Popen:
    """Start the process of a task; what it prints goes to its log."""
    words = [sys.executable, JOB, task.run, task.seed, args.folder, args.record.resolve(), data]
    steps = ['--steps', args.steps] if args.steps else []
    with log_of(args, task).open('a') as log:
        return subprocess.Popen(
            [str(word) for word in [*words, *steps]],
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, 'OMP_NUM_THREADS': '1'},
        )


def log_of(args: argparse.Namespace, task: Task) -> Path:
    """Return the file that has what a task printed."""
    return args.folder / f'{task}.log'


def summary(record: Path, task: Task) -> str:
    """Write the accuracies that a task has just appended."""
    rows = [row for row in read_rows(record) if (row.run, row.seed) == task]
    latest = {row.network: row.value for row in rows if row.metric == 'cls'}
    return '  '.join(f'{network} {value:.2f}' for network, value in latest.items())


if __name__ == '__main__':
    sys.exit(main())
