#!/usr/bin/env python
"""Seconds of a step of linear probing: of all heads of a network at once, and of one.

python benchmarks/probe_heads.py
"""

import argparse
import time
from collections.abc import Callable

import torch
from rich.console import Console
from rich.table import Table

from poa_mm.evaluation.probe.heads import Head
from poa_mm.evaluation.probe.parts import PartTrainer, parts_of_network
from poa_mm.evaluation.probe.settings import ProbeSettings
from poa_mm.evaluation.probe.sources import SOURCES, ProbeSources, probe_columns
from poa_mm.models.backbones import ElasticVisionTransformer


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--width', type=int, default=384, help='channels of a token')
    parser.add_argument('--classes', type=int, default=50)
    parser.add_argument('--batch-size', type=int, default=256)
    parser.add_argument('--image-size', type=int, default=64, help='of a ViT of 12 blocks')
    parser.add_argument('--steps', type=int, default=10)
    parser.add_argument('--device', default='cpu')
    return parser.parse_args()


def main() -> None:
    """Print a table."""
    args = parse_args()
    torch.manual_seed(0)
    sources = ProbeSources((args.width,) * 4, args.width)
    labels = torch.arange(args.batch_size, device=args.device) % args.classes
    features = torch.randn(args.batch_size, sources.width, device=args.device)
    heads = ProbeSettings().heads(sources)
    together = stepper(heads, sources, args)
    alone = [
        stepper([head for head in heads if head.source == source][:1], sources, args)
        for source in SOURCES
    ]
    images = measured_images(args)
    seconds = {
        'heads': timed(lambda: together(features, labels), args),
        'one head': sum(timed(lambda s=s: s(features, labels), args) for s in alone) / len(alone),
        'features': timed(images, args),
    }
    each, one, tokens = seconds.values()
    table = Table('', f'{len(heads)} heads', f'{len(heads)} runs of one', 'ratio')
    for name, extra in (('cached features', 0.0), ('images', tokens)):
        whole, separate = each + extra, len(heads) * (one + extra)
        table.add_row(name, f'{whole:.3f} s', f'{separate:.3f} s', f'{separate / whole:.1f}×')
    Console(width=100).print(table)
    print(f'a step: features {tokens:.3f} s, all heads {each:.3f} s, one head {one:.4f} s')


def stepper(
    heads: list[Head], sources: ProbeSources, args: argparse.Namespace
) -> Callable[[torch.Tensor, torch.Tensor], None]:
    """Make a function that takes a step of these heads."""
    trainers = [
        PartTrainer(part, heads, args.classes, 10**6, 0, args.device)
        for part in parts_of_network('', heads, sources, args.classes)
    ]

    def step(features: torch.Tensor, labels: torch.Tensor) -> None:
        for trainer in trainers:
            trainer.step(features, labels)

    return step


def measured_images(args: argparse.Namespace) -> Callable[[], object]:
    """Make a function that computes the features of a batch of images."""
    arch = {
        'embed_dims': args.width,
        'num_layers': 12,
        'num_heads': args.width // 64,
        'feedforward_channels': 4 * args.width,
    }
    net = ElasticVisionTransformer(arch, img_size=args.image_size).eval().to(args.device)
    side = args.image_size
    images = torch.randn(args.batch_size, 3, side, side, device=args.device)

    def run() -> None:
        with torch.inference_mode():
            probe_columns(*net.tokens(images))

    return run


def timed(run: Callable[[], object], args: argparse.Namespace) -> float:
    """Measure the seconds of a run, the median of several."""
    seconds = []
    for _ in range(args.steps + 1):
        start = time.perf_counter()
        run()
        if args.device != 'cpu':
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    return sorted(seconds[1:])[args.steps // 2]  # the first one warms up


if __name__ == '__main__':
    main()
