#!/usr/bin/env python
"""Export a sub-network to timm, ONNX, TorchScript, safetensors or mmpretrain, with a model card."""

import argparse
import sys
from pathlib import Path
from typing import Any

import poa_mm
from poa_mm import cli
from poa_mm.export import FORMATS, check_targets
from poa_mm.files import check_file

ERRORS = (*cli.USER_ERRORS, ModuleNotFoundError)


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        usage='%(prog)s CHECKPOINT SUBNET [OUT] --to FORMAT [options]',
        epilog='The model card is written to OUT.json and OUT.md.',
    )
    add = parser.add_argument
    add('checkpoint', type=Path, help='training or converted checkpoint')
    add('subnet', help='which sub-network: vit-s, w448-d13, smallest, largest, …')
    add(
        'out',
        type=Path,
        nargs='?',
        help=f'file to write: {_suffixes()} (default: SUBNET_FORMAT beside the checkpoint)',
    )
    add('--to', choices=FORMATS, required=True, help='what it is for')
    add('--image-size', type=int, help='side of the images (default: that of pre-training)')
    add('--accuracy', type=Path, metavar='CSV', help='table of tools/eval_knn.py, for the card')
    add('--branch', choices=['teacher', 'student'], default='teacher')
    add('--overwrite', action='store_true', help='replace existing files')
    args = parser.parse_args(argv)
    if args.out is None:
        name = f'{args.subnet}_{args.to}{FORMATS[args.to].suffix}'
        args.out = args.checkpoint.parent / name
    return args


def main(argv: list[str] | None = None) -> int:
    """Export."""
    return cli.run(export, parse_args(argv), ERRORS)


def export(args: argparse.Namespace) -> None:
    """Write the file and its card."""
    check_file(args.checkpoint, 'checkpoint')
    if args.accuracy:
        check_file(args.accuracy, 'CSV file')
    check_targets(args.out, args.to, args.overwrite)
    from poa_mm.export import export_subnet

    supernet: Any = poa_mm.load_supernet(args.checkpoint, args.branch)
    card = export_subnet(
        supernet,
        args.subnet,
        args.out,
        args.to,
        image_size=args.image_size,
        checkpoint=args.checkpoint,
        branch=args.branch,
        accuracy=args.accuracy,
        overwrite=args.overwrite,
    )
    print(f'{card.subnet} ({card.params / 1e6:.2f} M parameters) → {args.out}')
    print(f'model card: {args.out}.md, {args.out}.json\n\n{card.snippet}')


def _suffixes() -> str:
    return ', '.join(f'*{chosen.suffix} for {name}' for name, chosen in FORMATS.items())


if __name__ == '__main__':
    sys.exit(main())
