#!/usr/bin/env python
"""Turn a checkpoint of the authors' code (github.com/alipay/POA, ViT) into one of poa_mm."""

import argparse
import sys
from pathlib import Path

from poa_mm.engine.convert_official import Conversion, OfficialSettings, convert_official

DEFAULTS = OfficialSettings()
AXES = ('widths', 'depths')
EPILOG = """All other dimensions are read off the tensors, and every weight must find its place.
Without a student in the file, the student becomes a copy of the teacher."""


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, usage='%(prog)s IN OUT [options]', epilog=EPILOG
    )
    add = parser.add_argument
    add('source', metavar='IN', type=Path, help="their checkpoint: {'teacher': …[, 'student': …]}")
    add('out', metavar='OUT', type=Path, help='file to write')
    for name, kind, text in (
        ('head-dim', int, 'channels of an attention head (default: %(default)s)'),
        ('min-width', int, 'smallest elastic width (default: %(default)s)'),
        ('min-depth', int, 'smallest elastic depth (default: %(default)s)'),
        ('width-interval', int, 'step of the elastic widths (default: the head dim)'),
        ('depth-interval', int, 'step of the elastic depths (default: %(default)s)'),
        ('gamma', float, 'γ of the sampling weights (default: %(default)s)'),
    ):
        default = getattr(DEFAULTS, name.replace('-', '_'))
        add(f'--{name}', type=kind, default=default, metavar='N', help=text)
    add('--overwrite', action='store_true', help='replace an existing file')
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Convert."""
    args = parse_args(argv)
    settings = OfficialSettings(
        head_dim=args.head_dim,
        min_width=args.min_width,
        min_depth=args.min_depth,
        width_interval=args.width_interval,
        depth_interval=args.depth_interval,
        gamma=args.gamma,
    )
    try:
        conversion = convert_official(args.source, args.out, settings, args.overwrite)
    except (OSError, ValueError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 2
    print(f'{describe(conversion)} → {args.out}')
    if conversion.student_is_copy:
        print('the file has no student: the student is a copy of the teacher')
    print(f"open it with poa_mm.load_supernet('{args.out}')")
    return 0


def describe(conversion: Conversion) -> str:
    """What was found: the intact network, and its sub-networks."""
    backbone, space = dict(conversion.model['backbone']), conversion.space
    kind, arch = backbone.pop('type'), backbone.pop('arch')
    values = {**arch, **backbone}
    found = ', '.join(f'{name} {value}' for name, value in values.items() if name not in AXES)
    return (
        f'{kind} ({found}), heads with {conversion.model["head"]["num_prototypes"]} prototypes\n'
        f'{len(space)} sub-networks from {space.smallest} to {space.largest}'
    )


if __name__ == '__main__':
    sys.exit(main())
