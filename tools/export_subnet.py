#!/usr/bin/env python
"""Export a sub-network to timm, ONNX, TorchScript, safetensors or mmpretrain, with a model card."""

import argparse
import sys
from pathlib import Path

import poa_mm
from poa_mm import cli
from poa_mm.export import FORMATS, card_paths, check_targets
from poa_mm.files import check_file


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        usage='%(prog)s CHECKPOINT SUBNET [OUT] --to FORMAT [options]',
        epilog='The model card is written to OUT.json and OUT.md, or into the folder OUT.',
    )
    add = parser.add_argument
    add('checkpoint', type=Path, help='training or converted checkpoint')
    add('subnet', help='which sub-network: vit-s, w448-d13, smallest, largest, …')
    add(
        'out',
        type=Path,
        nargs='?',
        help=f'what to write: {_names()} (default: SUBNET_FORMAT_CHECKPOINT beside the checkpoint)',
    )
    add('--to', choices=FORMATS, required=True, help='what it is for')
    add(
        '--image-size',
        type=image_size,
        metavar='SIDE|HxW',
        help='of the images, such as 224 or 128x256 (default: that of pre-training)',
    )
    add('--accuracy', type=Path, metavar='CSV', help='table of tools/eval_knn.py, for the card')
    add('--branch', choices=['teacher', 'student'])
    cli.add_overwrite(parser)
    cli.add_traceback(parser)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Export."""
    return cli.run(export, parse_args(argv))


def export(args: argparse.Namespace) -> None:
    """Write the file and its card."""
    check_file(args.checkpoint, 'checkpoint')
    if args.accuracy:
        check_file(args.accuracy, 'CSV file')
    if args.out is None:
        what = f'{args.subnet}_{args.to}'
        args.out = cli.beside(args.checkpoint, what, FORMATS[args.to].suffix)
    check_targets(args.out, args.to, args.overwrite)
    from poa_mm.export import export_subnet

    supernet = poa_mm.load_supernet(args.checkpoint, args.branch)
    card = export_subnet(
        supernet,
        args.subnet,
        args.out,
        args.to,
        image_size=args.image_size,
        checkpoint=args.checkpoint,
        branch=supernet.branch,
        accuracy=args.accuracy,
        overwrite=args.overwrite,
    )
    print(f'{card.subnet} ({card.params / 1e6:.2f} M parameters) → {args.out}')
    as_json, as_markdown = card_paths(args.out, args.to)
    lines = card.snippet.replace(f"{args.out.name}'", f"{args.out}'")  # runs from anywhere
    print(f'model card: {as_markdown}, {as_json}\n\n{lines}')


def image_size(text: str) -> tuple[int, int]:
    """Read height and width from ``'224'`` or ``'128x256'``."""
    sides = [int(side) for side in text.lower().split('x')]
    if len(sides) > 2:
        raise ValueError(text)
    return sides[0], sides[-1]


def _names() -> str:
    made = {
        name: f'*{chosen.suffix}' if chosen.suffix else 'a folder'
        for name, chosen in FORMATS.items()
    }
    return ', '.join(f'{what} for {name}' for name, what in made.items())


if __name__ == '__main__':
    sys.exit(main())
