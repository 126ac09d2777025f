"""What mmengine's histories of scalars cost at the end of a long run, and what ours do.

python benchmarks/log_history.py
"""

import argparse
import copy
import statistics
import time
import types
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from mmengine.logging import HistoryBuffer, MessageHub
from mmengine.runner import LogProcessor

from poa_mm.engine.hooks import HistoryHook

MIB = 2**20


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--scalars', type=int, default=24, help='logged at every iteration')
    parser.add_argument('--iterations', type=int, default=276_800, help='behind the run')
    parser.add_argument('--steps', type=int, default=200, help='to time')
    return parser.parse_args()


def main() -> None:
    """Print a table."""
    args = parse_args()
    names = [f'train/term_{index}' for index in range(args.scalars)]
    print(f'| {args.scalars} scalars after {args.iterations} iterations | ms a step | MiB a file |')
    print('|---|---|---|')
    rows = [(name, *_measure(names, args, with_hook)) for name, with_hook in CASES]
    for name, milliseconds, size in rows:
        print(f'| {name} | {milliseconds:.3f} | {size:.2f} |')
    ratios = [before / after for before, after in zip(rows[0][1:], rows[1][1:], strict=True)]
    print(f'| ratio | {ratios[0]:.0f}× | {ratios[1]:.0f}× |')


CASES = (('mmengine', False), ('with HistoryHook', True))


def _measure(names: list[str], args: argparse.Namespace, with_hook: bool) -> tuple[float, float]:
    """Milliseconds of one iteration's scalars, and the size of what a checkpoint saves of them."""
    values = np.random.default_rng(0).normal(size=args.iterations)
    hub = MessageHub(f'hook {with_hook}')
    for name in names:
        hub.log_scalars[name] = HistoryBuffer(values, np.ones(args.iterations))
    runner = types.SimpleNamespace(
        message_hub=hub, log_processor=LogProcessor(window_size=50), train_dataloader=range(800)
    )
    after_iteration: Callable[..., None] = lambda *_: None  # noqa: E731
    if with_hook:
        hook = HistoryHook()
        hook.before_train(runner)
        after_iteration = hook._after_iter
    seconds = []
    for step in range(args.steps):
        start = time.perf_counter()
        for name in names:
            hub.update_scalar(name, step / args.steps)
        after_iteration(runner)
        seconds.append(time.perf_counter() - start)
    with TemporaryDirectory() as folder:
        path = Path(folder) / 'hub.pth'
        torch.save(copy.deepcopy(hub.state_dict()), path)
        size = path.stat().st_size
    return 1000 * statistics.median(seconds), size / MIB


if __name__ == '__main__':
    main()
