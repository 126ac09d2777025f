#!/usr/bin/env python
"""Pick the best sub-network within budgets: the most accurate one, or else the largest."""

import argparse
import functools
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from poa_mm import cli
from poa_mm.files import check_file, check_supernet

if TYPE_CHECKING:
    from poa_mm.elastic import Subnet
    from poa_mm.selection import Pick
    from poa_mm.selection.cost import ImageSize
    from poa_mm.selection.pick_inputs import Profiled


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, usage='%(prog)s CHECKPOINT|CONFIG [budgets] [options]'
    )
    add = parser.add_argument
    add('supernet', type=Path, help='training checkpoint, or config (*.py)')
    add('--max-params', metavar='30M', help='parameters')
    add('--max-flops', metavar='4.6G', help='multiply-accumulates for one image')
    add('--max-latency', metavar='20ms', help='of a forward pass, measured here or in --profile')
    add('--accuracy', type=Path, metavar='CSV', help='table of tools/eval_knn.py')
    add('--profile', type=Path, metavar='CSV', help='table of tools/profile_subnets.py')
    add('--image-size', type=int, help="side (default: the profile's, else that of pre-training)")
    add('--batch-size', type=int, help='for the latency (default: 1)')
    add('--threads', type=int, help='of the CPU, for the latency (default: 1)')
    cli.add_device(parser, 'for the latency (default: a GPU, if any)')
    cli.add_traceback(parser)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Pick."""
    return cli.run(show, parse_args(argv))


def show(args: argparse.Namespace) -> None:
    """Print the choice, with the reasons before it."""
    check_supernet(args.supernet)
    for table in filter(None, (args.accuracy, args.profile)):
        check_file(table, 'CSV file')
    pick = choose(args)
    print('\n'.join(pick.reasons))
    for candidate in pick.runners_up:
        print(f'next: {candidate}')
    print(pick.chosen.subnet)


def choose(args: argparse.Namespace) -> 'Pick':
    """Open the supernet and pick."""
    from poa_mm import selection
    from poa_mm.checkpoints.open_supernet import open_supernet, supernet_config
    from poa_mm.checkpoints.preprocessing import preprocessing_of

    backbone = open_supernet(args.supernet)
    profile = selection.profile_from_csv(args.profile, backbone) if args.profile else None
    image_size = asked_image_size(args, profile)
    if image_size is None:
        image_size = preprocessing_of(backbone, supernet_config(args.supernet)).image_size
    device: Any = args.device or cli.default_device()
    measure = functools.partial(
        selection.subnet_latency,
        backbone,
        image_size=image_size,
        device=device,
        batch_size=1 if args.batch_size is None else args.batch_size,
        threads=1 if args.threads is None else args.threads,
    )
    return selection.pick_subnet(
        backbone,
        max_params=args.max_params,
        max_flops=args.max_flops,
        max_latency=args.max_latency,
        accuracies=(
            selection.accuracies_from_csv(args.accuracy, backbone) if args.accuracy else None
        ),
        profile=profile,
        latency=measure,
        image_size=image_size,
        progress=True,
    )


def asked_image_size(
    args: argparse.Namespace, profile: 'Mapping[Subnet, Profiled] | None'
) -> 'ImageSize | None':
    """Return the profile's image size, which no option may contradict, or else the option's."""
    conditions = next(iter(profile.values())).conditions if profile else None
    if conditions is None:
        return args.image_size
    try:
        conditions.check(
            args.image_size,
            batch_size=args.batch_size,
            threads=args.threads,
            device=None if args.device is None else str(args.device),
        )
    except ValueError as error:
        raise ValueError(f'{args.profile} contradicts the options: {error}') from error
    return conditions.image_size


if __name__ == '__main__':
    sys.exit(main())
