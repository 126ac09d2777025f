#!/usr/bin/env python
"""Seconds of a training step with one linear head, and with many on the same features.

Random weights and images at the crop size of the config; data loading is left out.
"""

import argparse
import time
from collections.abc import Callable
from typing import Any

import torch
from mmengine.config import Config
from mmengine.structures import PixelData

import poa_mm  # noqa: F401  # registers the package's classes


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='linear config, such as configs/seg/linear_poa_vit-b.py')
    parser.add_argument('--heads', type=int, default=8)
    parser.add_argument('--batch-size', type=int, default=2)
    parser.add_argument('--steps', type=int, default=3, help='after one that does not count')
    args = parser.parse_args()
    cfg = Config.fromfile(args.config)
    cfg.model.backbone.init_cfg = None
    one = seconds(step(cfg.model, args.batch_size), args.steps)
    head = {'type': 'SweepHead', 'head': cfg.model.decode_head, 'number': args.heads}
    model = {**cfg.model, 'type': 'SweepEncoderDecoder', 'decode_head': head}
    many = seconds(step(model, args.batch_size), args.steps)
    print(f'one head: {one:.2f} s; {args.heads} heads on the same features: {many:.2f} s')
    print(f'{args.heads} runs of one head take {args.heads * one / many:.1f} times as long')


def step(model_cfg: dict[str, Any], batch_size: int) -> Callable[[], None]:
    """A forward and backward pass, without the optimiser, as a function."""
    from mmseg.registry import MODELS
    from mmseg.structures import SegDataSample

    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    model = MODELS.build({**model_cfg, '_scope_': 'mmseg'}).to(device).train()
    size = tuple(model_cfg['data_preprocessor']['size'])
    images = torch.randn(batch_size, 3, *size, device=device)
    label = torch.randint(0, model.num_classes, (1, *size), device=device)
    samples = [SegDataSample(gt_sem_seg=PixelData(data=label)) for _ in range(batch_size)]

    def run() -> None:
        losses = model.loss(images, samples)
        sum(value for name, value in losses.items() if 'loss' in name).backward()
        if device == 'cuda':
            torch.cuda.synchronize()

    return run


def seconds(run: Callable[[], None], steps: int) -> float:
    """The fastest of some steps."""
    times = []
    for _ in range(steps + 1):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times[1:])


if __name__ == '__main__':
    main()
