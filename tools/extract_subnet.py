#!/usr/bin/env python
"""Cut a sub-network out of a pre-training checkpoint, as a stock backbone of mmpretrain."""

import argparse
import sys
from pathlib import Path
from typing import Any

import poa_mm
from poa_mm import cli
from poa_mm.files import check_file, check_free


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('checkpoint', type=Path, help='training checkpoint')
    parser.add_argument('subnet', help='which sub-network: vit-s, w448-d13, smallest, largest, …')
    parser.add_argument(
        'out',
        nargs='?',
        type=Path,
        help='file to write (default: SUBNET_CHECKPOINT.pth beside the checkpoint)',
    )
    parser.add_argument('--branch', choices=['teacher', 'student'])
    cli.add_overwrite(parser)
    cli.add_traceback(parser)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Extract."""
    return cli.run(extract, parse_args(argv))


def extract(args: argparse.Namespace) -> None:
    """Write the file."""
    check_file(args.checkpoint, 'checkpoint')
    args.out = args.out or cli.beside(args.checkpoint, args.subnet, '.pth')
    check_free(args.out, args.overwrite)
    from poa_mm.checkpoints import load_config, save_backbone
    from poa_mm.checkpoints.preprocessing import preprocessing_of

    supernet = poa_mm.load_supernet(args.checkpoint, args.branch)
    subnet = supernet.space.resolve(args.subnet)
    images = preprocessing_of(supernet, load_config(args.checkpoint))
    save_backbone(supernet, subnet, args.out, args.overwrite, preprocessing=images.as_dict())
    millions = supernet.num_params(subnet) / 1e6
    print(f'{subnet} ({millions:.2f} M parameters) → {args.out}')
    print(f'images: {images}')
    print(f"open it with poa_mm.load_backbone('{args.out}'),")
    print('or in a config of any OpenMMLab library:\n')
    print('\n'.join(config_lines(supernet.subnet_cfg(subnet), args.out)))


def config_lines(cfg: dict[str, Any], path: Path) -> list[str]:
    """Write the lines of a config that build a stock backbone and load a file into it."""
    from poa_mm.registry import package_to_import

    lines = []
    if package := package_to_import(cfg):
        name = cfg['type'].split('.')[-1]
        lines = [
            f'# OpenMMLab has no class for this size: {name} is one of {package}.',
            f"custom_imports = dict(imports=['{package}'], allow_failed_imports=False)",
        ]
    arguments = ''.join(f'    {key}={value!r},\n' for key, value in cfg.items())
    load = f"    init_cfg=dict(type='Pretrained', checkpoint={str(path)!r}),\n"
    return [*lines, f'backbone = dict(\n{arguments}{load})']


if __name__ == '__main__':
    sys.exit(main())
