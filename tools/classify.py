#!/usr/bin/env python
"""Classify images with a fine-tuned network or a saved linear probe."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from poa_mm import cli
from poa_mm.files import check_file, check_free

if TYPE_CHECKING:
    from poa_mm.classification.predictions import Prediction

SHOWN = 3  # classes of each of many images on the terminal
FORMATS = ('.csv', '.json')


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, usage='%(prog)s CHECKPOINT IMAGE|FOLDER … [options]'
    )
    add = parser.add_argument
    add('checkpoint', type=Path, help='of a run with a config of configs/cls, or of eval_linear.py')
    add('images', type=Path, nargs='+', help='images, and folders of them, flat or nested')
    add('--top-k', type=int, default=5, help='classes to tell of each image (default: 5)')
    add('--out', type=Path, metavar='FILE', help='save the predictions: *.csv or *.json')
    add('--show-dir', type=Path, metavar='DIR', help='draw each image with its predictions')
    add('--config', type=Path, help='if it is neither in the checkpoint nor beside it')
    add('--batch-size', type=int, default=32)
    add('--workers', type=int, default=2, help='processes that read images')
    cli.add_device(parser)
    cli.add_overwrite(parser)
    cli.add_traceback(parser)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Classify."""
    return cli.run(classify, parse_args(argv))


def classify(args: argparse.Namespace) -> None:
    """Print the predictions; save and draw them, if asked to."""
    check(args)
    from rich.progress import track

    from poa_mm.classification.open_classifier import open_classifier
    from poa_mm.classification.predictions import predict, write_predictions

    device = args.device or cli.default_device()
    classifier = open_classifier(args.checkpoint, args.config, device)
    images = find_images([path.expanduser() for path in args.images])
    many = len(images) > args.batch_size
    done: list[Prediction] = []
    try:
        found = predict(
            classifier,
            list(images),
            args.top_k,
            args.batch_size,
            args.workers if many else 0,
        )
        for prediction in track(found, 'images', len(images), disable=not many, transient=True):
            done.append(prediction)
            show(prediction, images[prediction.path], args, alone=len(images) == 1)
    finally:  # what is done is kept
        if args.out and done:
            write_predictions(done, args.out)
    report(done, args)


def check(args: argparse.Namespace) -> None:
    """Check paths and numbers before anything is loaded."""
    check_file(args.checkpoint, 'checkpoint')
    if args.config:
        check_file(args.config, 'config')
    for path in args.images:
        if not path.expanduser().exists():
            raise FileNotFoundError(f'no image or folder at {path}')
    for option in ('top_k', 'batch_size'):
        if getattr(args, option) < 1:
            name = option.replace('_', '-')
            raise ValueError(f'--{name} must be at least 1, got {getattr(args, option)}')
    if args.workers < 0:
        raise ValueError(f'--workers must not be negative, got {args.workers}')
    if args.out:
        if args.out.suffix not in FORMATS:
            raise ValueError(f'--out must end with {" or ".join(FORMATS)}, got {args.out}')
        check_free(args.out, args.overwrite)
    if args.show_dir:
        if args.show_dir.exists() and not args.show_dir.is_dir():
            raise FileExistsError(f'--show-dir needs a folder; {args.show_dir} is a file')
        if args.show_dir.exists() and any(args.show_dir.iterdir()):
            check_free(args.show_dir, args.overwrite)


def find_images(paths: Sequence[Path]) -> dict[str, str]:
    """Return the path of each image, with its path within the folder that all are in."""
    from poa_mm.datasets.listing import list_images

    images: list[str] = []
    for path in paths:
        if path.is_file():
            images.append(str(path))
            continue
        listing = list_images(str(path))
        listing.report()
        images += [listing.path(image) for image in listing.images]
    folders = [str(path.absolute() if path.is_dir() else path.absolute().parent) for path in paths]
    common = os.path.commonpath(folders)
    return {image: os.path.relpath(Path(image).absolute(), common) for image in images}


def show(prediction: 'Prediction', name: str, args: argparse.Namespace, alone: bool) -> None:
    """Print the prediction of an image, and draw it."""
    from poa_mm.datasets.images import read_image
    from poa_mm.errors import printable

    if prediction.unreadable:
        return
    pairs = list(zip(prediction.classes, prediction.scores, strict=True))
    if alone:
        print(printable(prediction.path))
        for text, score in pairs:
            print(f'  {score:.3f}  {printable(text)}')
    else:
        best = ', '.join(f'{printable(text)} {score:.3f}' for text, score in pairs[:SHOWN])
        print(f'{printable(prediction.path)}: {best}')
    if args.show_dir:
        from poa_mm.visualization.predictions import draw_predictions

        path = args.show_dir / f'{name}.png'
        path.parent.mkdir(parents=True, exist_ok=True)
        image = read_image(prediction.path, lambda *_: None)[..., ::-1]
        draw_predictions(image, prediction.classes, prediction.scores, path)


def report(done: Sequence['Prediction'], args: argparse.Namespace) -> None:
    """Name what could not be read, and where the results are."""
    unreadable = [prediction.unreadable for prediction in done if prediction.unreadable]
    if len(unreadable) == len(done):
        more = f' (none of {len(done)} images can be read)' if len(done) > 1 else ''
        raise ValueError(f'{unreadable[0]}{more}')
    for reason in unreadable:
        print(f'left out: {reason}', file=sys.stderr)
    if unreadable:
        print(f'left out {len(unreadable)} unreadable images')
    for kind, place in (('predictions', args.out), ('drawings', args.show_dir)):
        if place:
            print(f'{kind} in {place}')


if __name__ == '__main__':
    sys.exit(main())
