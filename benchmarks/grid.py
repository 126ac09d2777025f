#!/usr/bin/env python
"""Time of all depths of one width with shared first blocks, and in separate passes.

python benchmarks/grid.py configs/pretrain/poa_vit-l.py configs/pretrain/poa_swin-b.py
"""

import argparse
import time
from collections.abc import Callable, Iterable

import torch
from mmengine.config import Config
from rich.console import Console
from rich.table import Table
from torch import Tensor

from poa_mm.elastic import Subnet
from poa_mm.evaluation import SharedPrefixes
from poa_mm.models.backbones import ElasticBackbone
from poa_mm.registry import ELASTIC_BACKBONES

Tokens = Iterable[tuple[Subnet, Tensor, Tensor]]


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('configs', nargs='+', help='pre-training configs')
    parser.add_argument('--width', type=int, help='elastic width (the smallest one)')
    parser.add_argument('--batch-size', type=int, default=1)
    parser.add_argument('--image-size', type=int, default=224)
    parser.add_argument('--repeats', type=int, default=1)
    return parser.parse_args()


@torch.inference_mode()
def main() -> None:
    """Print a table with a row for each config."""
    args = parse_args()
    table = Table(
        '', 'sub-networks', 'blocks', 'separate', 'CPU s', 'separate', 'ratio', 'differ by'
    )
    for path in args.configs:
        backbone = ELASTIC_BACKBONES.build(Config.fromfile(path).model.backbone).eval()
        width = args.width or min(backbone.space.widths)
        subnets = [subnet for subnet in backbone.subnets if subnet.width == width]
        images = torch.randn(max(args.batch_size, 2), 3, args.image_size, args.image_size)
        plan = SharedPrefixes(backbone, subnets)
        list(plan.tokens(images[:2]))  # once: checks that blocks can be shared
        images = images[: args.batch_size]
        runs: dict[str, Callable[[], Tokens]] = {
            'shared': lambda plan=plan, images=images: plan.tokens(images),
            'separate': lambda net=backbone, subnets=subnets, images=images: separate(
                net, subnets, images
            ),
        }
        seconds = {name: [timed(run) for run in [run] * args.repeats] for name, run in runs.items()}
        best = {name: min(values) for name, values in seconds.items()}
        blocks = (plan.num_blocks, plan.num_separate_blocks)
        table.add_row(
            f'{path} ({width} wide)',
            *map(str, (len(subnets), *blocks)),
            *(f'{best[name]:.1f}' for name in runs),
            f'{best["shared"] / best["separate"]:.2f}',
            f'{difference(*(run() for run in runs.values())):.0e}',
        )
    Console(width=120).print(table)


def separate(backbone: ElasticBackbone, subnets: list[Subnet], images: Tensor) -> Tokens:
    """Run sub-networks one by one."""
    for subnet in subnets:
        yield subnet, *backbone.tokens(images, subnet)


def timed(run: Callable[[], Tokens]) -> float:
    """Measure CPU seconds, which other processes change less than the time of day."""
    start = time.process_time()
    for _ in run():
        pass
    return time.process_time() - start


def difference(shared: Tokens, separate: Tokens) -> float:
    """Measure the largest difference of a token, relative to the largest token."""
    got = {subnet: (cls, patches) for subnet, cls, patches in shared}
    return max(
        ((a - b).abs().max() / b.abs().max()).item()
        for subnet, *tokens in separate
        for a, b in zip(got[subnet], tokens, strict=True)
    )


if __name__ == '__main__':
    main()
