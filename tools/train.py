#!/usr/bin/env python
"""Train a config: pre-training, classification, detection or segmentation."""

import argparse
import sys
from typing import Any

from mmengine.config import Config, DictAction
from mmengine.hooks import Hook

import poa_mm  # noqa: F401  # registers the package's classes
from poa_mm.engine import launch

REQUIRED = ('model', 'train_dataloader', 'train_cfg', 'optim_wrapper')


class Progress(Hook):
    """Knows whether training has begun: until then a wrong setting deserves one line."""

    training = False

    def before_train_iter(self, *args: Any, **kwargs: Any) -> None:
        """The first iteration is about to start."""
        self.training = True


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config file')
    parser.add_argument('--work-dir', help='where to write (default: work_dirs/<config name>)')
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='CHECKPOINT',
        help='go on from CHECKPOINT, without a value from the latest one in the work dir',
    )
    parser.add_argument('--amp', action='store_true', help='mixed precision (bf16)')
    parser.add_argument(
        '--auto-scale-lr', action='store_true', help='scale the learning rate to the actual batch'
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='override settings of the config, e.g. train_cfg.max_iters=100',
    )
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm'], default='none')
    return parser.parse_args()


def load_config(args: argparse.Namespace) -> Config:
    """The config with all options applied."""
    cfg = Config.fromfile(args.config)
    cfg.merge_from_dict(args.cfg_options or {})
    missing = [key for key in REQUIRED if key not in cfg]
    if missing:
        raise ValueError(f'{args.config} is no training config: it has no {", ".join(missing)}')
    launch.set_work_dir(cfg, args.config, args.work_dir)
    launch.set_resume(cfg, args.resume)
    if args.amp:
        launch.set_amp(cfg)
    if args.auto_scale_lr:
        launch.set_auto_scale_lr(cfg)
    return cfg


def main() -> None:
    """Train."""
    args = parse_args()
    progress = Progress()
    try:
        cfg = load_config(args)
        runner = launch.build_runner(cfg, args.launcher)
        runner.register_hook(progress)
        runner.train()
    except (OSError, SyntaxError, TypeError, ValueError) as error:
        if progress.training:  # not the user's mistake: show where it happened
            raise
        sys.exit(f'error: {one_line(error)}')


def one_line(error: Exception) -> str:
    """The text of an error; one from a loader process comes after that process's traceback."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return (
        lines[-1]
        if any('Traceback' in line for line in lines)
        else ' '.join(' '.join(lines).split())
    )


if __name__ == '__main__':
    main()
