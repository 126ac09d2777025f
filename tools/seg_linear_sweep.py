#!/usr/bin/env python
"""Train linear segmentation at many learning rates in one run: features are computed once."""

import argparse
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from poa_mm import cli
from poa_mm.files import check_file, check_free, write_file

if TYPE_CHECKING:
    from mmengine.config import Config
    from mmengine.runner import Runner

    from poa_mm.segmentation.sweep_config import SweepRow

TABLE, BEST = 'sweep.csv', 'best.pth'
RATES = [1e-5, 3e-5, 1e-4, 3e-4, 7e-4, 2e-3, 5e-3, 1e-2]


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='linear config, such as configs/seg/linear_poa_vit-b.py')
    parser.add_argument(
        '--lr',
        nargs='+',
        type=float,
        default=RATES,
        metavar='RATE',
        help=f'learning rates (default: {" ".join(f"{rate:g}" for rate in RATES)})',
    )
    parser.add_argument('--work-dir', help='where to write (default: work_dirs/CONFIG_sweep)')
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='CHECKPOINT',
        help='resume from CHECKPOINT; without a value, from the latest one in the work dir',
    )
    parser.add_argument(
        '--keep-all', action='store_true', help='save all heads, not the best alone'
    )
    cli.add_overwrite(parser)
    cli.add_cfg_options(parser)
    cli.add_launcher(parser)
    cli.add_traceback(parser)
    return parser.parse_args(argv)


def load_config(args: argparse.Namespace) -> 'Config':
    """Load the sweep's config and apply all options."""
    from poa_mm.checkpoints.config_file import read_config
    from poa_mm.engine import launch
    from poa_mm.segmentation import sweep_config

    cfg = read_config(args.config)
    launch.merge_options(cfg, cli.read_cfg_options(args.cfg_options))
    cfg = sweep_config.sweep_config(cfg, args.lr)
    launch.set_work_dir(cfg, f'{Path(args.config).stem}_sweep.py', args.work_dir)
    launch.set_resume(cfg, args.resume)
    for name in (TABLE, BEST):
        check_free(Path(cfg.work_dir) / name, args.overwrite or cfg.get('resume', False))
    return cfg


def save(runner: 'Runner', rows: list['SweepRow'], keep_all: bool) -> None:
    """Write the table and the heads, each with its backbone: a checkpoint of the linear config."""
    from poa_mm.segmentation import sweep_config
    from poa_mm.tables import save_csv

    folder = Path(runner.work_dir)
    save_csv(rows, folder / TABLE)
    meta = {'iter': runner.iter, 'dataset_meta': dict(runner.visualizer.dataset_meta)}
    for index, row in enumerate(rows):
        names = [f'lr_{row.lr:g}.pth'] if keep_all else []
        for name in [*names, *([BEST] if row.best else [])]:
            content = sweep_config.head_checkpoint(runner.model, index, {**meta, 'lr': row.lr})
            write_file(content, folder / name)


def show(rows: list['SweepRow'], args: argparse.Namespace, folder: str) -> None:
    """Print the table, and how to test the best head."""
    from rich.console import Console
    from rich.table import Table

    from poa_mm.segmentation import sweep_config

    table = Table('lr', *sweep_config.METRICS, title='Percent of the validation set')
    for row in rows:
        values = [f'{row.metrics[name]:.2f}' for name in sweep_config.METRICS]
        table.add_row(f'{row.lr:g}', *values, style='bold' if row.best else None)
    Console().print(table)
    command = ['python', 'tools/test.py', args.config, f'{folder}/{BEST}']
    if args.cfg_options:
        command += ['--cfg-options', *args.cfg_options]
    print(f'{folder}/{TABLE}; test the best head with')
    print(shlex.join(command))


def main(argv: list[str] | None = None) -> int:
    """Sweep."""
    return cli.run(sweep, parse_args(argv))


def sweep(args: argparse.Namespace) -> None:
    """Check what the command line names, then run."""
    check_file(args.config, 'config')
    if args.resume not in (None, 'auto'):
        check_file(args.resume, 'checkpoint to resume from')
    from mmengine.dist import is_main_process

    from poa_mm.engine import launch
    from poa_mm.segmentation import sweep_config

    with launch.on_screen() as screen:
        cfg = load_config(args)
        runner = launch.build_runner(cfg, args.launcher)
        results = sweep_config.SweepResults(args.lr)
        note = sweep_config.batch_note(cfg, runner.world_size)
        if note:
            runner.logger.warning(note)
        runner.register_hook(results)
        runner.register_hook(screen)
        runner.train()
        if not results.rows:  # resumed where nothing was left to train
            runner.val()
    if is_main_process():
        save(runner, results.rows, args.keep_all)
        show(results.rows, args, cfg.work_dir)


if __name__ == '__main__':
    sys.exit(main())
