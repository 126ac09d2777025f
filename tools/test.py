#!/usr/bin/env python
"""Test a trained model: classification, detection or segmentation."""

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from poa_mm import cli
from poa_mm.files import check_file

if TYPE_CHECKING:
    from mmengine.config import Config

REQUIRED = ('model', 'test_dataloader', 'test_cfg', 'test_evaluator')


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint of a run with this config')
    parser.add_argument('--work-dir', help='for logs and scores (default: work_dirs/CONFIG)')
    parser.add_argument('--show-dir', help='draw predictions on the images, into this folder')
    parser.add_argument(
        '--out', help='save the predictions: to FILE.pkl; segmentation: as masks to a folder'
    )
    cli.add_overwrite(parser)
    parser.add_argument('--tta', action='store_true', help='average over several views')
    cli.add_cfg_options(parser, 'test_dataloader.num_workers=8')
    cli.add_launcher(parser)
    cli.add_traceback(parser)
    return parser.parse_args(argv)


def load_config(args: argparse.Namespace) -> 'Config':
    """Load the config and apply all options."""
    from poa_mm.checkpoints.config_file import read_config
    from poa_mm.classification.complete import complete
    from poa_mm.engine import launch, launch_test

    cfg = read_config(args.config)
    launch.merge_options(cfg, cli.read_cfg_options(args.cfg_options))
    missing = [key for key in REQUIRED if cfg.get(key) is None]
    if missing:
        raise ValueError(f'{args.config} is no config to test: it has no {", ".join(missing)}')
    complete(cfg)
    launch.set_work_dir(cfg, args.config, args.work_dir)
    if args.show_dir:
        launch_test.set_show_dir(cfg, args.show_dir, args.overwrite)
    if args.out:
        launch_test.set_out(cfg, args.out, args.overwrite)
    if args.tta:
        launch_test.set_tta(cfg)
    return cfg


def main(argv: list[str] | None = None) -> int:
    """Test."""
    return cli.run(test, parse_args(argv))


def test(args: argparse.Namespace) -> None:
    """Check what the command line names, then run."""
    check_file(args.config, 'config')
    if '://' not in args.checkpoint:
        check_file(args.checkpoint, 'checkpoint')
    from mmengine.dist import is_main_process

    from poa_mm.engine import launch, launch_test

    with launch.on_screen() as screen:
        cfg = load_config(args)
        runner = launch_test.build_test_runner(cfg, args.checkpoint, args.launcher)
        runner.register_hook(screen)
        start = time.monotonic()
        metrics = runner.test()
        if is_main_process() and cfg.get('results'):
            from poa_mm.evaluation.results import append_new
            from poa_mm.evaluation.tested_classifier import accuracy_results

            seconds = time.monotonic() - start
            images = runner.test_dataloader.dataset
            found = accuracy_results(cfg, args.checkpoint, metrics, images, seconds)
            append_new(Path(cfg.work_dir) / 'results.jsonl', found)
    for kind, place in (('predictions', args.out), ('drawings', args.show_dir)):
        if place and is_main_process():
            print(f'{kind} in {place}')


if __name__ == '__main__':
    sys.exit(main())
