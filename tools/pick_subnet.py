#!/usr/bin/env python
"""The best sub-network within budgets: the most accurate one, or else the largest."""

import argparse
import functools
import sys
from pathlib import Path
from typing import Any

import torch

from poa_mm.evaluation.latency import subnet_latency
from poa_mm.evaluation.pick import Pick, accuracies_from_csv, parse_amount, pick_subnet
from poa_mm.evaluation.supernet import open_supernet


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, usage='%(prog)s CHECKPOINT|CONFIG [budgets] [options]'
    )
    add = parser.add_argument
    add('supernet', type=Path, help='training checkpoint, or config (*.py)')
    add('--max-params', metavar='30M', help='parameters')
    add('--max-flops', metavar='4.6G', help='multiply-accumulates for one image')
    add('--max-latency', metavar='20ms', help='of a forward pass, measured on this machine')
    add('--accuracy', type=Path, metavar='CSV', help='table of tools/eval_knn.py')
    add('--image-size', type=int, default=224, help='side of the images (default: 224)')
    add('--batch-size', type=int, default=1, help='for the latency (default: 1)')
    add('--threads', type=int, default=1, help='of the CPU, for the latency (default: 1)')
    add('--device', default='cuda' if torch.cuda.is_available() else 'cpu')
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Pick."""
    args = parse_args(argv)
    try:
        pick = choose(args)
    except (FileNotFoundError, ValueError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 2
    print('\n'.join(pick.reasons))
    for candidate in pick.runners_up:
        print(f'next: {candidate}')
    print(pick.chosen.subnet)
    return 0


def choose(args: argparse.Namespace) -> Pick:
    """Open the supernet and pick."""
    budgets = {
        f'max_{kind}': parse_amount(kind, text)
        for kind in ('params', 'flops', 'latency')
        if (text := getattr(args, f'max_{kind}')) is not None
    }
    backbone: Any = open_supernet(args.supernet)
    return pick_subnet(
        backbone,
        **budgets,
        accuracies=accuracies_from_csv(args.accuracy, backbone.space) if args.accuracy else None,
        latency=functools.partial(
            subnet_latency,
            backbone,
            image_size=args.image_size,
            device=args.device,
            batch_size=args.batch_size,
            threads=args.threads,
        ),
        image_size=args.image_size,
        progress=True,
    )


if __name__ == '__main__':
    sys.exit(main())
