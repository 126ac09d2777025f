#!/usr/bin/env python
"""Convert a checkpoint of the authors' code (github.com/alipay/POA): ViT, Swin or ResNet."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from poa_mm import cli
from poa_mm.checkpoints.official import DEFAULTS
from poa_mm.files import check_file, check_free

if TYPE_CHECKING:
    from poa_mm.checkpoints.official import Conversion


def depth(text: str) -> int | tuple[int, ...]:
    """Read a depth as in names of sub-networks: 12, or 3-4-6-3."""
    stages = tuple(map(int, text.split('-')))
    return stages if len(stages) > 1 else stages[0]


AXES = ('widths', 'depths')
SETTINGS = (
    ('head-dim', int, 'channels of an attention head'),
    ('num-groups', int, 'groups of the norms'),
    ('min-width', int, 'smallest elastic width'),
    ('min-depth', depth, 'smallest elastic depth'),
    ('width-interval', int, 'step of the elastic widths (one head or group)'),
    ('depth-interval', int, 'step of the elastic depths'),
    ('gamma', float, 'γ of the sampling weights'),
)
EPILOG = """All else is read off the tensors, and every weight must find its place. Without a
student in the file, the student becomes a copy of the teacher. Of a Swin, only sub-networks of the
intact width can be extracted; all of them run."""


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, usage='%(prog)s IN [OUT] [options]', epilog=EPILOG
    )
    add = parser.add_argument
    add('source', metavar='IN', type=Path, help="their checkpoint: {'teacher': …[, 'student': …]}")
    out_help = 'file to write (default: converted_IN.pth beside IN)'
    add('out', metavar='OUT', nargs='?', type=Path, help=out_help)
    for name, kind, text in SETTINGS:
        add(f'--{name}', type=kind, metavar='N', help=text + defaults(name.replace('-', '_')))
    cli.add_overwrite(parser)
    cli.add_traceback(parser)
    return parser.parse_args(argv)


def defaults(name: str) -> str:
    """Write the value of a setting in the authors' configs."""
    values = {family: settings.get(name) for family, settings in DEFAULTS.items()}
    shown = [
        f'{family} {"-".join(map(str, value)) if isinstance(value, tuple) else f"{value:g}"}'
        for family, value in values.items()
        if value is not None
    ]
    return f' ({", ".join(shown)})' if shown else ''


def main(argv: list[str] | None = None) -> int:
    """Convert."""
    return cli.run(convert, parse_args(argv))


def convert(args: argparse.Namespace) -> None:
    """Write the file."""
    check_file(args.source, 'checkpoint')
    args.out = args.out or cli.beside(args.source, 'converted', '.pth')
    check_free(args.out, args.overwrite)
    from poa_mm.checkpoints.official import OfficialSettings, convert_official

    names = [name.replace('-', '_') for name, _, _ in SETTINGS]
    settings = OfficialSettings(**{name: getattr(args, name) for name in names})
    conversion = convert_official(args.source, args.out, settings, args.overwrite)
    print(f'{describe(conversion)} → {args.out}')
    if conversion.student_is_copy:
        print('the file has no student: the student is a copy of the teacher')
    print(f"open it with poa_mm.load_supernet('{args.out}')")


def describe(conversion: 'Conversion') -> str:
    """Describe the intact network and its sub-networks."""
    backbone, space = dict(conversion.model['backbone']), conversion.space
    kind, arch = backbone.pop('type'), backbone.pop('arch')
    others = {name: value for name, value in backbone.items() if name not in AXES}
    found = ', '.join(f'{name} {value}' for name, value in {**arch, **others}.items())
    return (
        f'{kind} ({found}), heads with {conversion.model["head"]["num_prototypes"]} prototypes\n'
        f'{len(space)} sub-networks from {space.smallest} to {space.largest}'
    )


if __name__ == '__main__':
    sys.exit(main())
