"""What all kinds of pictures on the command line do: open networks, read images, keep the data."""

import argparse
import csv
import sys
from collections.abc import Mapping, Sequence

import numpy as np

from poa_mm.evaluation import command_line
from poa_mm.evaluation.networks.measured import Measured, Network
from poa_mm.evaluation.pictures.shown_images import Frame, ShownImage, image_paths, shown_images
from poa_mm.evaluation.what import is_timm_name
from poa_mm.files import replaced

__all__ = [
    'about',
    'open_chosen',
    'open_frame',
    'read_images',
    'save_arrays',
    'save_rows',
    'tell_left_out',
]


def open_chosen(args: argparse.Namespace) -> tuple[Measured, Sequence[Network]]:
    """Open the networks that are drawn: those of ``--subnets``, or the kind's default."""
    chosen = args.subnets
    args.subnets = chosen or 'all'
    measured = command_line.open_networks(args)
    if chosen is not None:
        return measured, measured.networks
    ends = tuple(dict.fromkeys((measured.networks[0], measured.networks[-1])))
    return measured, ends[-1:] if args.default_subnets == 'largest' else ends


def open_frame(args: argparse.Namespace, measured: Measured) -> Frame:
    """Find out how images are cut, and say so where they are not shown whole."""
    frame = Frame.of(measured)
    if not frame.whole:
        height, width = frame.preprocessing.image_size
        print(f'note: {args.what} takes images of {height} × {width} pixels alone: they are cut')
    return frame


def read_images(paths: Sequence[str], frame: Frame, most: int) -> list[ShownImage]:
    """Read images; name those that are left out."""
    found = image_paths(paths)
    if len(found) > most:
        print(f'the first {most} of {len(found)} images are drawn; see --max-images')
    images, reasons = shown_images(found[:most], frame)
    tell_left_out(reasons)
    return images


def tell_left_out(reasons: Sequence[str]) -> None:
    """Print why images are left out, a line each."""
    for reason in reasons:
        print(f'left out: {reason}', file=sys.stderr)


def about(args: argparse.Namespace, networks: Sequence[Network]) -> str:
    """Name the checkpoint and its networks, for titles; of a model of timm, which weights."""
    if is_timm_name(args.what):
        return f'{args.what}, weights: {args.timm_weights}'
    names = ', '.join(
        f'{network.name} ({network.known_as})' if network.known_as else network.name
        for network in networks
    )
    branch = ', student' if args.branch == 'student' else ''
    return f'{args.what}{branch} · {names}'


def save_arrays(
    args: argparse.Namespace, images: Sequence[ShownImage], arrays: Mapping[str, np.ndarray]
) -> None:
    """Write the arrays behind a picture, and the files of its images, beside it."""
    paths = np.array([image.path for image in images])
    with replaced(args.out.with_suffix(args.data)) as partial, partial.open('wb') as file:
        np.savez(file, images=paths, **arrays)  # type: ignore[arg-type] # arrays by name


def save_rows(args: argparse.Namespace, rows: Sequence[Mapping[str, object]]) -> None:
    """Write the rows behind a picture, with the same columns each, beside it."""
    with (
        replaced(args.out.with_suffix(args.data)) as partial,
        partial.open('w', newline='', encoding='utf-8') as file,
    ):
        writer = csv.DictWriter(file, list(rows[0]) if rows else [])
        writer.writeheader()
        writer.writerows(rows)
