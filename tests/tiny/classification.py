"""Tiny runs of the classification configs on drawn images, a folder for each class."""

import copy
import json
import sys
from pathlib import Path

import numpy as np
from helpers import load_config, load_tool
from PIL import Image
from tool_outcome import outcome

from poa_mm.registry import ELASTIC_BACKBONES
from tiny.families import TINY

CLASSES = ('blue', 'green', 'red')
COLOURS = {'blue': (60, 60, 200), 'green': (60, 180, 60), 'red': (200, 60, 60)}
SIDE = {'vit': 16, 'swin': 64, 'resnet': 32}


def draw(folder, train=6, val=4, classes=CLASSES, seed=0):
    """Write noisy images of one colour a class: ``train`` and ``val``, so many of each class."""
    generator = np.random.default_rng(seed)
    for split, number in (('train', train), ('val', val)):
        for name in classes:
            (Path(folder) / split / name).mkdir(parents=True, exist_ok=True)
            for index in range(number):
                pixels = np.array(COLOURS[name]) + generator.normal(0, 60, (40, 48, 3))
                image = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
                image.save(Path(folder) / split / name / f'{index}.png')
    return Path(folder)


def tiny_config(name, folder, work_dir, epochs=2, batch=8):
    """A config of ``configs/cls`` at a size that trains in seconds, from random weights."""
    cfg = load_config(f'cls/{name}.py')
    family = next(family for family in TINY if f'_{family}-' in name)
    shrink(cfg.model, family)
    for kind in ('train', 'val', 'test'):
        loader = cfg[f'{kind}_dataloader']
        loader.batch_size = batch
        loader.num_workers = 0
        loader.persistent_workers = loader.pin_memory = False
        loader.dataset.data_root = str(Path(folder) / ('train' if kind == 'train' else 'val'))
        for transform in loader.dataset.pipeline:
            if transform['type'] in ('RandomResizedCrop', 'ResizeEdge'):
                transform.scale = SIDE[family]
            elif transform['type'] == 'CenterCrop':
                transform.crop_size = SIDE[family]
    cfg.visualizer.vis_backends = [{'type': 'LocalVisBackend'}]
    cfg.work_dir = str(work_dir)
    cfg.log_level = 'WARNING'
    if 'max_epochs' in cfg.train_cfg:
        cfg.train_cfg.max_epochs = epochs
        cfg.param_scheduler[0].end = cfg.param_scheduler[1].begin = epochs / 2
        cfg.param_scheduler[1].end = epochs
    return cfg


def shrink(model, family):
    """Make a model's config tiny, with three classes."""
    supernet = ELASTIC_BACKBONES.build(copy.deepcopy(TINY[family]))
    stock = supernet.subnet_cfg(supernet.space.largest)
    kept = {
        key: model.backbone[key]
        for key in ('out_indices', 'out_type', 'drop_path_rate')
        if key in model.backbone
    }
    model.backbone = {**stock, **kept, 'init_cfg': None}
    model.head.num_classes = len(CLASSES)
    stages = model.backbone.get('out_indices')
    model.head.in_channels = {
        'vit': 32,
        'swin': 8 * 16,
        'resnet': sum(32 * 2**stage for stage in stages),
    }[family]


def call(tool, *args):
    """What a tool exits with."""
    before, sys.argv = sys.argv, [f'{tool}.py', *map(str, args)]
    try:
        return outcome(load_tool(tool).main)
    finally:
        sys.argv = before


def last(run, key='accuracy/top1'):
    """The newest value of a metric in the logs of a run."""
    lines = [
        json.loads(line)
        for path in sorted(Path(run).glob('*/vis_data/scalars.json'))
        for line in path.read_text().splitlines()
    ]
    return [line[key] for line in lines if key in line][-1]


def tool_score(work_dir):
    (path,) = Path(work_dir).glob('*/*.json')
    return json.loads(path.read_text())['accuracy/top1']
