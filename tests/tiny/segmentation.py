"""Tiny runs of the segmentation configs on drawn images."""

from pathlib import Path

import numpy as np
from helpers import ROOT
from mmengine.config import Config
from PIL import Image

import poa_mm  # noqa: F401  # lets configs start from mmseg's

FOLDER = ROOT / 'configs' / 'seg'
CLASSES = ('ground', 'left', 'right', 'disc')
COLOURS = np.array([[60, 120, 60], [200, 60, 60], [60, 60, 200], [220, 220, 80]])
UNLABELLED = 255
SIZE = (48, 64)  # rows and columns
CROP = 32
ARCH = {'embed_dims': 32, 'num_layers': 12, 'num_heads': 2, 'feedforward_channels': 64}


def draw(folder, number=4, seed=0):
    """Write images of three shapes on a ground, and their masks; the first row is unlabelled."""
    generator = np.random.default_rng(seed)
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    for part in ('images', 'masks'):
        (folder / part).mkdir(parents=True, exist_ok=True)
    for index in range(number):
        mask = np.zeros(SIZE, dtype=np.uint8)
        mask[20:, : generator.integers(10, 30)] = 1
        mask[20:, -generator.integers(10, 30) :] = 2
        y, x = generator.integers(10, 38), generator.integers(10, 54)
        mask[(rows - y) ** 2 + (columns - x) ** 2 < 64] = 3
        noise = generator.normal(0, 20, (*SIZE, 3))
        image = np.clip(COLOURS[mask] + noise, 0, 255).astype(np.uint8)
        mask[0] = UNLABELLED
        Image.fromarray(image).save(folder / 'images' / f'{index}.png')
        Image.fromarray(mask).save(folder / 'masks' / f'{index}.png')
    return folder


def tiny_config(name, folder, work_dir, iters=4):
    """A config of ``configs/seg`` for a ViT, at a size that trains in seconds."""
    cfg = Config.fromfile(FOLDER / f'{name}.py')
    dataset = {
        'type': 'BaseSegDataset',
        'img_suffix': '.png',
        'data_root': str(folder),
        'data_prefix': {'img_path': 'images', 'seg_map_path': 'masks'},
        'metainfo': {'classes': CLASSES, 'palette': COLOURS.tolist()},
    }
    load = [{'type': 'LoadImageFromFile'}, {'type': 'LoadAnnotations'}]
    crop = [
        {'type': 'RandomCrop', 'crop_size': (CROP, CROP)},
        {'type': 'RandomFlip', 'prob': 0.5},
        {'type': 'PhotoMetricDistortion'},
    ]
    pack = [{'type': 'PackSegInputs'}]
    for loader, pipeline in (
        (cfg.train_dataloader, [{'type': 'SeedByPosition'}, *load, *crop, *pack]),
        (cfg.val_dataloader, load + pack),
        (cfg.test_dataloader, load + pack),
    ):
        loader.dataset = {**dataset, 'pipeline': pipeline}
        loader.num_workers = 0
        loader.persistent_workers = False
    views = cfg.tta_pipeline[1].transforms
    views[0] = [{'type': 'Resize', 'scale': s, 'keep_ratio': True} for s in ((64, 48), (80, 60))]
    shrink(cfg.model)
    cfg.train_cfg.update(max_iters=iters, val_interval=iters)
    cfg.param_scheduler[0].end = 2
    cfg.param_scheduler[1].end = iters
    cfg.default_hooks.checkpoint.interval = iters
    cfg.visualizer.vis_backends = [{'type': 'LocalVisBackend'}]
    cfg.work_dir = str(work_dir)
    cfg.log_level = 'WARNING'
    return cfg


def shrink(model):
    """Make a model's config tiny: patches of 8 pixels, 12 blocks of 32 channels, 4 classes."""
    model.data_preprocessor.size = (CROP, CROP)
    model.backbone.update(
        arch=ARCH, img_size=CROP, patch_size=8, layer_scale_init_value=1.0, init_cfg=None
    )
    if model.get('neck'):
        model.neck.embed_dim = 32
    heads = [model.decode_head, *([model.auxiliary_head] if model.auxiliary_head else [])]
    for head in heads:
        several = not isinstance(head.in_channels, int)
        head.in_channels = [32] * 4 if several else 32
        head.num_classes = len(CLASSES)
        head.channels = 128 if head.get('input_transform') else 16
    model.test_cfg.update(crop_size=(CROP, CROP), stride=(21, 21))


def path_of(work_dir, iters=4):
    """The checkpoint of a finished tiny run."""
    return Path(work_dir) / f'iter_{iters}.pth'
