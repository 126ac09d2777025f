#!/usr/bin/env python
"""What classification configs train, as the tables of configs/cls/README.md.

Parameters in millions; learning rates from the lowest layer to the head; drop path as it arrives in
the last block.
"""

import argparse
from pathlib import Path
from typing import Any

from mmcv.cnn.bricks.drop import DropPath
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.optim import build_optim_wrapper
from torch import nn

import poa_mm  # noqa: F401  # registers the package's classes
from poa_mm.checkpoints.build import build_on_meta


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('configs', nargs='+', help='config files')
    return parser.parse_args()


def rates(model: nn.Module, cfg: Config) -> set[float]:
    """Learning rates of the optimiser's groups."""
    wrapper = {**cfg.optim_wrapper, 'type': 'OptimWrapper'}
    wrapper.pop('dtype', None)
    return {group['lr'] for group in build_optim_wrapper(model, wrapper).optimizer.param_groups}


def row(path: str) -> str:
    """A line of the table."""
    cfg = Config.fromfile(path)
    model: Any = build_on_meta({**cfg.model, '_scope_': cfg.default_scope})
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    whole = sum(p.numel() for p in model.parameters())
    features = model.head.in_channels
    found = rates(model, cfg)
    drops = [float(m.drop_prob) for m in model.modules() if isinstance(m, DropPath)]
    cells = [
        f'`{Path(path).name}`',
        f'{whole / 1e6:.2f}',
        f'{trained / 1e6:.2f}',
        f'{features}',
        f'{len(found)}',
        f'{min(found):.2g} … {max(found):.2g}' if len(found) > 1 else f'{max(found):.2g}',
        f'{max(drops, default=0.0):g}',
    ]
    return f'| {" | ".join(cells)} |'


def main() -> None:
    """Print the table."""
    args = parse_args()
    MMLogger.get_instance('cls_params', log_level='WARNING')
    print('| config | all | trained | features | rates | from … to | drop path |')
    print('|---|---|---|---|---|---|---|')
    for path in args.configs:
        print(row(path))


if __name__ == '__main__':
    main()
