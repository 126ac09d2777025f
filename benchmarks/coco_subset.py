#!/usr/bin/env python
"""Write a COCO folder with few images whose objects are all large enough to see.

Taken are the first images, in the order of the file, that have objects, none of them a crowd or
smaller than 32² pixels (small, in COCO's terms). The images themselves are linked, not copied.
"""

import argparse
import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

SMALL = 32**2
ANNOTATIONS = Path('annotations/instances_train2017.json')


def main() -> None:
    """Write the subset."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('coco', type=Path, help='folder with annotations/ and train2017/')
    parser.add_argument('out', type=Path, help='folder to make')
    parser.add_argument('--images', type=int, default=8)
    args = parser.parse_args()
    if not (args.coco / ANNOTATIONS).is_file():
        sys.exit(f'error: no {args.coco / ANNOTATIONS}')
    if args.out.exists():
        sys.exit(f'error: {args.out} exists already; choose another folder')
    content = subset(json.loads((args.coco / ANNOTATIONS).read_text()), args.images)
    (args.out / ANNOTATIONS).parent.mkdir(parents=True)
    (args.out / ANNOTATIONS).write_text(json.dumps(content))
    (args.out / 'train2017').symlink_to(images_of(args.coco).resolve())
    print(f'{len(content["images"])} images, {len(content["annotations"])} objects → {args.out}')


def images_of(coco: Path) -> Path:
    """The folder of the training images: COCO's own place, or below ``images``."""
    return next(
        (path for path in (coco / 'train2017', coco / 'images/train2017') if path.is_dir()),
        coco / 'train2017',
    )


def subset(content: dict[str, Any], number: int) -> dict[str, Any]:
    """Annotations of the first images that qualify."""
    objects = defaultdict(list)
    for item in content['annotations']:
        objects[item['image_id']].append(item)
    images = [image for image in content['images'] if visible(objects[image['id']])][:number]
    if len(images) < number:
        sys.exit(f'error: only {len(images)} images qualify')
    kept = [item for image in images for item in objects[image['id']]]
    return {**content, 'images': images, 'annotations': kept}


def visible(objects: list[dict[str, Any]]) -> bool:
    """Whether there are objects, and all can be told apart and seen."""
    return bool(objects) and all(not o['iscrowd'] and o['area'] >= SMALL for o in objects)


if __name__ == '__main__':
    main()
