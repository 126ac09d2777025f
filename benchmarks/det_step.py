#!/usr/bin/env python
"""Parameters of detection configs, and time and memory of their training steps on made-up images.

python benchmarks/det_step.py configs/det/cascade_poa_*.py --params
python benchmarks/det_step.py configs/det/cascade_poa_vit-s.py --amp
"""

import argparse
import resource
import statistics
import time
from typing import Any

import numpy as np
import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmengine.optim import build_optim_wrapper
from mmengine.structures import InstanceData
from rich.progress import track
from torch import nn

from poa_mm.engine import launch
from poa_mm.engine.hooks.activation_checkpoint_hook import recompute_blocks

GIB = 2**30
OBJECTS = 7  # of an image of COCO, on average


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('configs', nargs='+', help='without a GPU one, unless they are counted')
    parser.add_argument('--params', action='store_true', help='count only')
    parser.add_argument('--size', type=int, nargs=2, default=(800, 1344), help='height and width')
    parser.add_argument('--batch-size', type=int, default=2)
    parser.add_argument('--steps', type=int, default=10)
    parser.add_argument('--warmup', type=int, default=3, help='first steps, which are not counted')
    parser.add_argument('--amp', action='store_true', help='bf16')
    parser.add_argument('--recompute', nargs='*', default=[], help='lists of blocks, see the docs')
    args = parser.parse_args()
    if args.params:
        return args
    if not 0 <= args.warmup < args.steps:
        parser.error(f'--steps must exceed --warmup, got {args.steps} and {args.warmup}')
    if len(args.configs) > 1 and not torch.cuda.is_available():
        # The system tells the most memory that the process ever had, not that of one config.
        parser.error('without a GPU, time one config at a time')
    return args


def main() -> None:
    """Print the lines of a table."""
    args = parse_args()
    if args.params:
        print('| config | backbone | detector |\n|---|---|---|')
    for path in args.configs:
        cfg = Config.fromfile(path)
        model: Any = MODELS.build(cfg.model)
        if args.params:
            print(f'| `{path}` | {millions(model.backbone):.2f} M | {millions(model):.2f} M |')
        else:
            step(path, cfg, model, args)


def millions(module: nn.Module) -> float:
    """Parameters in millions."""
    return sum(parameter.numel() for parameter in module.parameters()) / 1e6


def step(path: str, cfg: Config, model: Any, args: argparse.Namespace) -> None:
    """Train some steps from random weights."""
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    model = revert_sync_batchnorm(model).to(device).train()
    if args.amp:
        launch.set_amp(cfg)
    wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    recompute_blocks(model, args.recompute)
    seconds = []
    for number in track(range(args.steps), description=path):
        data = batch(args.batch_size, *args.size, seed=number)
        start = now()
        losses = model.train_step(data, wrapper)
        seconds.append(now() - start)
    print(' '.join(f'{name} {value.item():.3f}' for name, value in losses.items()))
    memory, name = peak_memory()
    print(
        f'| {path} | {name} | {"bf16" if args.amp else "float32"} '
        f'| {"yes" if args.recompute else "no"} | {args.batch_size} × {args.size[0]} × '
        f'{args.size[1]} | {statistics.median(seconds[args.warmup :]):.2f} '
        f'| {memory / GIB:.1f} GiB |'
    )


def batch(size: int, height: int, width: int, seed: int) -> dict[str, list]:
    """Images of noise with boxes and masks, as a loader collates them."""
    rng = np.random.default_rng(seed)
    shape = (height, width)
    images, samples = [], []
    for _ in range(size):
        corners = np.sort(rng.random((OBJECTS, 2, 2)) * (width - 1, height - 1), axis=1)
        boxes = np.concatenate((corners[:, 0], corners[:, 1] + 1), axis=1)
        masks = np.zeros((OBJECTS, height, width), np.uint8)
        for mask, (x1, y1, x2, y2) in zip(masks, boxes.astype(int), strict=True):
            mask[y1:y2, x1:x2] = 1
        instances = InstanceData(
            bboxes=torch.tensor(boxes, dtype=torch.float32),
            labels=torch.from_numpy(rng.integers(0, 80, OBJECTS)),
            masks=BitmapMasks(masks, height, width),
        )
        meta = {'img_shape': shape, 'ori_shape': shape, 'scale_factor': (1.0, 1.0)}
        samples.append(DetDataSample(metainfo=meta, gt_instances=instances))
        images.append(torch.from_numpy(rng.integers(0, 256, (3, *shape), dtype=np.uint8)))
    return {'inputs': images, 'data_samples': samples}


def now() -> float:
    """The time, the device waited for."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def peak_memory() -> tuple[int, str]:
    """Bytes at the most, and where."""
    if torch.cuda.is_available():
        peak = torch.cuda.max_memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        return peak, torch.cuda.get_device_name()
    kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kib * 1024, f'CPU, {torch.get_num_threads()} threads'


if __name__ == '__main__':
    main()
