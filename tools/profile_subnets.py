#!/usr/bin/env python
"""Profile sub-networks: parameters, FLOPs, activation memory and latency, as table and plot."""

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from poa_mm import cli
from poa_mm.files import check_free, check_supernet

if TYPE_CHECKING:
    from poa_mm.selection import ProfileRow

OUT_DIR_HELP = (
    'default: profile_CHECKPOINT beside the checkpoint; of a config, work_dirs/profile_CONFIG'
)


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, usage='%(prog)s CHECKPOINT|CONFIG [options]'
    )
    add = parser.add_argument
    add('supernet', type=Path, help='training checkpoint, or config (*.py), which needs no weights')
    add('--subnets', default='all', help='all (default), named, or names: vit-s,w448-d13')
    add('--image-size', type=int, nargs='+', metavar='PIXELS', help='side, or height and width')
    add('--latency', action='store_true', help='also measure forward passes, on this machine')
    add('--batch-size', type=int, default=1, help='for the latency (default: 1)')
    add('--threads', type=int, default=1, help='of the CPU, for the latency (default: 1)')
    cli.add_device(parser, 'for the latency (default: a GPU, if any)')
    add('--out-dir', type=Path, help=OUT_DIR_HELP)
    cli.add_overwrite(parser)
    cli.add_traceback(parser)
    args = parser.parse_args(argv)
    if args.image_size and len(args.image_size) > 2:
        parser.error(f'--image-size takes one or two numbers, got {args.image_size}')
    return args


def main(argv: list[str] | None = None) -> int:
    """Profile."""
    return cli.run(profile, parse_args(argv))


def profile(args: argparse.Namespace) -> None:
    """Profile, write and print."""
    check_supernet(args.supernet)
    # Configs are source files: what is made of one does not lie beside it.
    is_config = args.supernet.suffix == '.py'
    base = Path('work_dirs', args.supernet.name) if is_config else args.supernet
    args.out_dir = args.out_dir or cli.beside(base, 'profile')
    csv_path, plot_path = args.out_dir / 'profile.csv', args.out_dir / 'profile.png'
    for path in (csv_path, plot_path):
        check_free(path, args.overwrite)
    from rich.console import Console
    from rich.progress import track

    from poa_mm.checkpoints.open_supernet import open_supernet, supernet_config
    from poa_mm.checkpoints.preprocessing import preprocessing_of
    from poa_mm.elastic import select_subnets
    from poa_mm.selection.profile import (
        LatencySettings,
        extractable,
        profile_rows,
        profile_table,
    )
    from poa_mm.tables import save_csv
    from poa_mm.visualization import plot_profile

    backbone = open_supernet(args.supernet)
    subnets, refused = extractable(backbone, select_subnets(backbone.space, args.subnets))
    image_size = tuple(args.image_size or ())
    if not image_size:
        image_size = preprocessing_of(backbone, supernet_config(args.supernet)).image_size
    device = str(args.device or cli.default_device())
    latency = LatencySettings(args.batch_size, args.threads, device) if args.latency else None
    results: Iterable[ProfileRow] = profile_rows(
        backbone, subnets, (image_size[0], image_size[-1]), latency
    )
    args.out_dir.mkdir(parents=True, exist_ok=True)
    screen = Console(stderr=True)
    if screen.is_terminal:
        results = track(results, 'sub-networks', len(subnets), console=screen, transient=True)
    rows = save_csv(results, csv_path)
    label = f'latency (ms), batch {args.batch_size}, {args.threads} threads, {device}'
    plot_profile(rows, plot_path, f'Sub-networks of {args.supernet.name}', label)
    console = Console()
    console.print(profile_table(rows))
    if refused:
        reason = next(iter(refused.values()))
        console.print(f'{len(refused)} sub-networks left out, the first because {reason}')
    console.print(f'CSV:  {csv_path}\nplot: {plot_path}', soft_wrap=True)


if __name__ == '__main__':
    sys.exit(main())
