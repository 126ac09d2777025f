#!/usr/bin/env python
"""Extract features of all images below a folder into a .npz file."""

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import poa_mm
from poa_mm import cli
from poa_mm.files import check_file, check_folder, check_free

if TYPE_CHECKING:
    from torch import nn

    from poa_mm.checkpoints.preprocessing import Preprocessing


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, usage='%(prog)s CHECKPOINT FOLDER [OUT] [options]'
    )
    add = parser.add_argument
    add('checkpoint', type=Path, help='training checkpoint, or file of an extracted backbone')
    add('folder', type=Path, help='images, flat or nested; sub-folders count as classes')
    add(
        'out',
        nargs='?',
        type=Path,
        help='file to write: *.npz with features, paths, labels, classes '
        '(default: features_FOLDER_CHECKPOINT.npz beside the checkpoint)',
    )
    add('--subnet', help='which sub-network of a training checkpoint: vit-s, smallest, …')
    add('--image-size', type=int, help='side of the centre crop (default: that of pre-training)')
    add('--batch-size', type=int, default=64)
    add('--workers', type=int, default=2, help='processes that read images')
    cli.add_device(parser)
    cli.add_overwrite(parser)
    cli.add_traceback(parser)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Extract."""
    return cli.run(extract, parse_args(argv))


def extract(args: argparse.Namespace) -> None:
    """Write the file."""
    if args.out is None:
        what = f'features_{args.folder.resolve().name}'
        args.out = cli.beside(args.checkpoint, what, '.npz')
    if args.out.suffix != '.npz':
        raise ValueError(f'the file to write must end in .npz, got {args.out}')
    if args.image_size is not None and args.image_size < 1:
        raise ValueError(f'--image-size must be positive, got {args.image_size}')
    check_file(args.checkpoint, 'checkpoint')
    check_folder(args.folder)
    check_free(args.out, args.overwrite)
    import numpy as np

    from poa_mm.evaluation.folder_features import folder_features

    net, preprocessing = open_network(args.checkpoint, args.subnet, args.image_size)
    result = folder_features(
        net.to(args.device or cli.default_device()),
        args.folder,
        preprocessing,
        args.batch_size,
        args.workers,
        progress=True,
    )
    args.out.parent.mkdir(parents=True, exist_ok=True)
    partial = args.out.with_suffix('.partial.npz')
    np.savez(partial, **result.arrays())  # type: ignore[arg-type] # arrays by name
    partial.replace(args.out)
    for reason in result.unreadable:
        print(f'left out: {reason}', file=sys.stderr)
    if result.unreadable:
        print(f'left out {len(result.unreadable)} unreadable images')
    arrays = ', '.join(f'{name} {value.shape}' for name, value in result.arrays().items())
    print(f'{arrays} → {args.out}')


def open_network(
    path: Path, subnet: str | None, side: int | None
) -> tuple['nn.Module', 'Preprocessing']:
    """Open a stock backbone in evaluation mode, and find out what images it expects."""
    from poa_mm.checkpoints import load_config
    from poa_mm.checkpoints.preprocessing import preprocessing_of
    from poa_mm.export.network import image_size_argument

    if subnet is None:
        try:
            extracted = poa_mm.load_backbone(path)
        except ValueError as error:
            raise ValueError(f'{error}; of a training checkpoint name a --subnet') from error
        return extracted, expected_images(extracted, path, side)
    supernet = poa_mm.load_supernet(path)
    preprocessing = preprocessing_of(supernet, load_config(path), side)
    member = supernet.space.resolve(subnet)
    image_size = image_size_argument(supernet, member, preprocessing.image_size)
    net = supernet.extract(member, **image_size)
    net.eval()
    return net, preprocessing


def expected_images(net: 'nn.Module', path: Path, side: int | None) -> 'Preprocessing':
    """Find out what images a backbone's file expects, with the side that the user wants."""
    from poa_mm.checkpoints.preprocessing import imagenet_preprocessing, stored_preprocessing

    stored = stored_preprocessing(path)
    preprocessing = stored or imagenet_preprocessing(net)
    if side is not None:
        preprocessing = replace(preprocessing, image_size=(side, side))
    if stored is None:
        print(
            f'note: {path} does not say what images it expects; taken are {preprocessing}',
            file=sys.stderr,
        )
    return preprocessing


if __name__ == '__main__':
    sys.exit(main())
