#!/usr/bin/env python
"""Train a config: pre-training, classification, detection or segmentation."""

import argparse
import sys
from typing import TYPE_CHECKING

from poa_mm import cli
from poa_mm.files import check_file

if TYPE_CHECKING:
    from mmengine.config import Config

REQUIRED = ('model', 'train_dataloader', 'train_cfg', 'optim_wrapper')


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config file')
    parser.add_argument('--work-dir', help='where to write (default: work_dirs/CONFIG)')
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='CHECKPOINT',
        help='resume from CHECKPOINT; without a value, from the latest one in the work dir',
    )
    parser.add_argument('--amp', action='store_true', help='mixed precision (bf16)')
    parser.add_argument(
        '--auto-scale-lr', action='store_true', help='scale the learning rate to the actual batch'
    )
    cli.add_labelled_data(parser, 'k-NN monitor: your own images, a folder for each class, to vote')
    cli.add_cfg_options(parser)
    cli.add_launcher(parser)
    cli.add_traceback(parser)
    return parser.parse_args(argv)


def load_config(args: argparse.Namespace) -> 'Config':
    """Load the config and apply all options."""
    from poa_mm.checkpoints.config_file import read_config
    from poa_mm.classification.complete import complete
    from poa_mm.engine import launch
    from poa_mm.evaluation.labelled_folders import monitor_labelled_folders

    cfg = read_config(args.config)
    launch.merge_options(cfg, cli.read_cfg_options(args.cfg_options))
    missing = [key for key in REQUIRED if key not in cfg]
    if missing:
        raise ValueError(f'{args.config} is no training config: it has no {", ".join(missing)}')
    complete(cfg)
    if args.train_data:
        monitor_labelled_folders(cfg, args.train_data, args.test_data)
    launch.set_work_dir(cfg, args.config, args.work_dir)
    launch.set_resume(cfg, args.resume)
    if args.amp:
        launch.set_amp(cfg)
    if args.auto_scale_lr:
        launch.set_auto_scale_lr(cfg)
    return cfg


def main(argv: list[str] | None = None) -> int:
    """Train."""
    return cli.run(train, parse_args(argv))


def train(args: argparse.Namespace) -> None:
    """Check what the command line names, then run."""
    check_file(args.config, 'config')
    if args.resume not in (None, 'auto'):
        check_file(args.resume, 'checkpoint to resume from')
    cli.check_labelled_data(args)
    from poa_mm.engine import launch

    with launch.on_screen() as screen:
        cfg = load_config(args)
        runner = launch.build_runner(cfg, args.launcher)
        runner.register_hook(screen)
        runner.train()


if __name__ == '__main__':
    sys.exit(main())
