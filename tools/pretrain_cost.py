#!/usr/bin/env python
"""Predict FLOPs, GPU hours and memory of pre-training runs, and measure steps of them."""

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from poa_mm import cli
from poa_mm.files import check_file, check_free

if TYPE_CHECKING:
    from poa_mm.selection.pretrain_cost import CostRow

SHARE = 0.24  # what the 2752 hours of Table 20 amount to, see docs/pretraining.md


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add('configs', type=Path, nargs='+', metavar='CONFIG', help='pre-training configs')
    add('--gpu', default='a100', help='v100, a100 (default), h100, h200, or its peak in TFLOP/s')
    add('--share', type=float, default=SHARE, help=f'of the peak that is reached ({SHARE})')
    add('--measure', type=int, metavar='STEPS', help='also run so many steps on noise, here')
    add('--batch-size', type=int, help="images of a measured step (default: the config's)")
    cli.add_device(parser, 'for --measure (default: a GPU, if any)')
    add('--csv', type=Path, metavar='FILE', help='also write the table to this file')
    cli.add_cfg_options(parser, 'model.head.num_prototypes=[65536]')
    cli.add_overwrite(parser)
    cli.add_traceback(parser)
    args = parser.parse_args(argv)
    if not 0 < args.share <= 1:
        parser.error(f'--share must be above 0 and at most 1, got {args.share}')
    for name in ('measure', 'batch_size'):
        if getattr(args, name) is not None and getattr(args, name) < 1:
            parser.error(f'--{name.replace("_", "-")} must be at least 1')
    return args


def main(argv: list[str] | None = None) -> int:
    """Predict and measure."""
    return cli.run(show_cost, parse_args(argv))


def show_cost(args: argparse.Namespace) -> None:
    """Print the table, and write it if asked to."""
    for path in args.configs:
        check_file(path, 'config')
    if args.csv:
        check_free(args.csv, args.overwrite)
    from rich.console import Console

    from poa_mm.checkpoints.config_file import read_config
    from poa_mm.engine.run_length import merge_options
    from poa_mm.selection.pretrain_cost import (
        Assumptions,
        Measurement,
        cost_rows,
        cost_table,
        peak_flops,
    )
    from poa_mm.tables import save_csv

    assumed = Assumptions(args.gpu, peak_flops(args.gpu), args.share)
    measure = None
    if args.measure:
        device = str(args.device or cli.default_device())
        measure = Measurement(args.measure, device, args.batch_size)
    options = cli.read_cfg_options(args.cfg_options)
    configs = [(path.stem, read_config(path)) for path in args.configs]
    for _, cfg in configs:
        merge_options(cfg, options)
    found: Iterable[CostRow] = cost_rows(configs, assumed, measure)
    if args.csv:
        args.csv.parent.mkdir(parents=True, exist_ok=True)
        found = save_csv(found, args.csv)
    console = Console()
    console.print(cost_table(list(found)))
    if args.csv:
        console.print(f'CSV: {args.csv}', soft_wrap=True)


if __name__ == '__main__':
    sys.exit(main())
