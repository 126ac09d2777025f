#!/usr/bin/env python
"""Parameters of segmentation configs in millions, as the table of configs/seg/README.md."""

import argparse
from pathlib import Path
from typing import Any

from mmengine.config import Config
from torch import nn

import poa_mm  # noqa: F401  # registers the package's classes
from poa_mm.checkpoints.build import build_on_meta

PARTS = ('backbone', 'neck', 'decode_head', 'auxiliary_head')


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('configs', nargs='+', help='config files')
    return parser.parse_args()


def millions(module: nn.Module | None, trained_only: bool = False) -> float:
    """Parameters in millions."""
    parameters = () if module is None else module.parameters()
    return sum(p.numel() for p in parameters if p.requires_grad or not trained_only) / 1e6


def row(path: str) -> str:
    """A line of the table."""
    cfg = Config.fromfile(path)
    model: Any = build_on_meta({**cfg.model, '_scope_': cfg.default_scope})
    numbers = [millions(getattr(model, part, None)) for part in PARTS]
    numbers += [millions(model), millions(model, trained_only=True)]
    return f'| `{Path(path).name}` | ' + ' | '.join(f'{number:.2f}' for number in numbers) + ' |'


def main() -> None:
    """Print the table."""
    args = parse_args()
    print('| config | backbone | pyramid | head | auxiliary head | all | trained |')
    print('|---|---|---|---|---|---|---|')
    for path in args.configs:
        print(row(path))


if __name__ == '__main__':
    main()
