#!/usr/bin/env python
"""Write a folder of images and masks with the classes that are seen most, for a run on a CPU.

Takes PNG masks with COCO's panoptic ids, 0 for what has no label, and numbers the classes of the
training masks by the pixels they cover: 1 for the most frequent. The rarer ones become 0. Images
are linked, not copied; those without a mask are left out.
"""

import argparse
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

PARTS = {'train': 'train2017', 'val': 'val2017'}


def main() -> None:
    """Write the subset."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('coco', type=Path, help='folder with images/ and semantic/')
    parser.add_argument('out', type=Path, help='folder to make')
    parser.add_argument('--images', type=int, help='the first ones of each part (default: all)')
    parser.add_argument('--classes', type=int, default=16)
    args = parser.parse_args()
    if args.out.exists():
        sys.exit(f'error: {args.out} exists already')
    partial = args.out.with_name(f'{args.out.name}.partial')
    shutil.rmtree(partial, ignore_errors=True)  # of a run that was stopped
    number = table = None
    for part, folder in PARTS.items():
        pairs = list(pairs_of(args.coco, folder))[: args.images]
        if not pairs:
            sys.exit(f'error: no images with masks in {args.coco}/semantic/{folder}')
        if table is None:
            number, table = numbering([mask for _, mask in pairs], args.classes)
        write(pairs, partial, part, table)
        print(f'{len(pairs)} images with masks of {number} classes → {args.out}/*/{part}')
    partial.rename(args.out)


def pairs_of(coco: Path, folder: str) -> Iterator[tuple[Path, Path]]:
    """Images and their masks."""
    for mask in sorted((coco / 'semantic' / folder).glob('*.png')):
        image = coco / 'images' / folder / f'{mask.stem}.jpg'
        if image.is_file():
            yield image, mask


def numbering(masks: list[Path], most: int) -> tuple[int, np.ndarray]:
    """How many classes remain, and the new number of each id."""
    pixels = sum(np.bincount(np.asarray(Image.open(p)).ravel(), minlength=256) for p in masks)
    pixels[0] = 0
    kept = [label for label in np.argsort(-pixels, kind='stable') if pixels[label]][:most]
    table = np.zeros(256, dtype=np.uint8)
    table[kept] = np.arange(1, len(kept) + 1)
    return len(kept), table


def write(pairs: list[tuple[Path, Path]], out: Path, part: str, table: np.ndarray) -> None:
    """Link the images and save their masks."""
    for folder in ('images', 'masks'):
        (out / folder / part).mkdir(parents=True)
    for image, mask in pairs:
        (out / 'images' / part / image.name).symlink_to(image.resolve())
        Image.fromarray(table[np.asarray(Image.open(mask))]).save(out / 'masks' / part / mask.name)


if __name__ == '__main__':
    main()
