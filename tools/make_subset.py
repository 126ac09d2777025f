#!/usr/bin/env python
"""List a part of the images of a folder with class sub-folders, as many of each class."""

import argparse
import sys
from collections import Counter
from pathlib import Path

from poa_mm import cli
from poa_mm.files import check_folder, check_free


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('folder', type=Path, help='images to train on, a sub-folder for each class')
    parser.add_argument('out', type=Path, help='list to write, a file name a line')
    share = parser.add_mutually_exclusive_group(required=True)
    share.add_argument('--percent', type=float, help='of all images, at least one of each class')
    share.add_argument('--per-class', type=int, metavar='N', help='images of each class')
    parser.add_argument('--seed', type=int, default=0, help='of the draw (default: 0)')
    cli.add_overwrite(parser)
    cli.add_traceback(parser)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Make the list."""
    return cli.run(make, parse_args(argv))


def make(args: argparse.Namespace) -> None:
    """Draw the images and write their names."""
    check_folder(args.folder)
    check_free(args.out, args.overwrite)
    from poa_mm.datasets import ImageFolder
    from poa_mm.datasets.subset import draw_subset, write_subset

    root = args.folder.expanduser()
    data = ImageFolder(root, with_label=True)
    infos = [data.get_data_info(row) for row in range(len(data))]
    images = [info['img_path'].removeprefix(f'{root}/') for info in infos]
    classes = [data.CLASSES[info['gt_label']] for info in infos]
    rows = draw_subset(classes, percent=args.percent, per_class=args.per_class, seed=args.seed)
    write_subset(args.out, images, rows)
    numbers = sorted(set(Counter(classes[row] for row in rows).values()))
    each = f'{numbers[0]}' if len(numbers) == 1 else f'{numbers[0]} to {numbers[-1]}'
    print(f'{len(rows)} of {len(images)} images, {each} of each of {len(set(classes))} classes')
    print(f'to train on them: --cfg-options train_dataloader.dataset.subset={args.out}')


if __name__ == '__main__':
    sys.exit(main())
