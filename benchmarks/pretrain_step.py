"""Time and memory of real optimiser steps of a pre-training config, all loss terms on.

python benchmarks/pretrain_step.py configs/pretrain/poa_vit-l.py DATA_FOLDER --batch-size 2
"""

import argparse
import resource
import statistics
import tempfile
import time
from typing import Any

import torch
from mmengine.config import Config, DictAction
from mmengine.hooks import Hook

import poa_mm  # noqa: F401  # registers the package's classes
from poa_mm.engine import launch

GIB = 2**30


class Clock(Hook):
    """Seconds and loss terms of each step, the device waited for."""

    priority = 'LOWEST'

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.terms: dict[str, float] = {}

    def before_train_iter(self, runner: Any, *args: Any, **kwargs: Any) -> None:
        """Start a step: data loading is left out."""
        self.start = _now()

    def after_train_iter(self, runner: Any, *args: Any, outputs: Any = None, **kwargs: Any) -> None:
        """End a step."""
        self.seconds.append(_now() - self.start)
        self.terms = {name: value.item() for name, value in outputs.items()}


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('config')
    parser.add_argument('data', help='folder of images')
    parser.add_argument('--batch-size', type=int, default=2)
    parser.add_argument('--steps', type=int, default=3)
    parser.add_argument('--warmup', type=int, default=1, help='first steps, which are not counted')
    parser.add_argument('--workers', type=int, default=2)
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, default={})
    return parser.parse_args()


def main() -> None:
    """Train some steps and print one line of a table."""
    args = parse_args()
    cfg = Config.fromfile(args.config)
    cfg.train_dataloader.update(batch_size=args.batch_size, num_workers=args.workers)
    cfg.train_dataloader.dataset.data_root = args.data
    launch.merge_options(cfg, {'train_cfg.max_iters': args.steps})
    cfg.default_hooks.checkpoint.update(interval=10**9, save_last=False)
    cfg.custom_hooks = [hook for hook in cfg.custom_hooks if hook.type != 'KnnMonitorHook']
    for hook in cfg.custom_hooks:
        if hook.type == 'POAHook':
            hook.update(ibot_start_epoch=0, freeze_last_layer_epochs=0)
    cfg.merge_from_dict(args.cfg_options)
    with tempfile.TemporaryDirectory() as cfg.work_dir:
        runner = launch.build_runner(cfg)
        clock = Clock()
        runner.register_hook(clock)
        runner.train()
    seconds = statistics.median(clock.seconds[args.warmup :])
    memory, device = _peak_memory()
    print(' '.join(f'{name} {value:.3f}' for name, value in clock.terms.items()))
    print('| config | device | batch | s / step | images / s | peak memory |')
    print(
        f'| {args.config} | {device} | {args.batch_size} | {seconds:.2f} '
        f'| {args.batch_size / seconds:.1f} | {memory / GIB:.1f} GiB |'
    )


def _now() -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def _peak_memory() -> tuple[int, str]:
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated(), torch.cuda.get_device_name()
    kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kib * 1024, f'CPU, {torch.get_num_threads()} threads'


if __name__ == '__main__':
    main()
