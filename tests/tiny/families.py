"""Tiny supernets of all families: those that every export format can express, and smaller ones."""

import copy

import torch

from poa_mm.registry import ELASTIC_BACKBONES
from tiny.networks import TINY_BACKBONE, randomise

SIZE = {'vit': 16, 'swin': 64, 'resnet': 32}  # of the images
SUPERNETS = {
    'vit': TINY_BACKBONE,
    'swin': {
        'type': 'ElasticSwinTransformer',
        'arch': {'embed_dims': 32, 'depths': [1, 2, 4, 1], 'num_heads': [4, 8, 16, 32]},
        'widths': [16, 24, 32],
        'depths': [6, 7, 8],
        'img_size': 64,
        'window_size': 4,
        'pad_small_map': True,
    },
    'resnet': {  # timm has 64 channels in the stem and norms of 32 groups
        'type': 'ElasticResNet',
        'arch': {'stage_blocks': (1, 2, 3, 1), 'mid_channels': 64, 'out_channels': 128},
        'widths': [32, 64],
        'depths': [(1, d2, d3, 1) for d2 in (1, 2) for d3 in (2, 3)],
    },
}
IMAGES = {
    'data_preprocessor': {'mean': [102.0, 51.0, 76.5], 'std': [51.0, 102.0, 127.5]},
    'knn_pipeline': [
        {'type': 'torchvision/Resize', 'size': 80, 'interpolation': 'bilinear'},
        {'type': 'torchvision/CenterCrop', 'size': 64},
    ],
}
# Smaller, with stages of several depths, for what needs no other library.
TINY_SWIN = {
    'type': 'ElasticSwinTransformer',
    'arch': {'embed_dims': 16, 'depths': [1, 1, 3, 1], 'num_heads': [2, 4, 8, 16]},
    'img_size': 64,
    'window_size': 4,
    'widths': [8, 16],
    'depths': [4, 5, 6],
    'pad_small_map': True,
}
TINY_RESNET = {
    'type': 'ElasticResNet',
    'arch': {'stage_blocks': (3, 4, 7, 3), 'mid_channels': 16, 'out_channels': 32},
    'widths': [8, 16],
    'depths': [(3, 4, 6, 3), (3, 4, 7, 3)],
    'norm_cfg': {'type': 'GN', 'num_groups': 4},
}
TINY = {'vit': TINY_BACKBONE, 'swin': TINY_SWIN, 'resnet': TINY_RESNET}


def build(family, dtype=torch.float32, seed=0, **overrides):
    """Supernet with random weights, in evaluation mode."""
    torch.manual_seed(seed)
    cfg = copy.deepcopy({**SUPERNETS[family], **overrides})
    return randomise(ELASTIC_BACKBONES.build(cfg), seed).to(dtype).eval()


def images(family, batch=2, dtype=torch.float32, size=None, channels=3):
    """Noise of the size that the family's supernet is for."""
    side = size or SIZE[family]
    generator = torch.Generator().manual_seed(7)
    return torch.randn(batch, channels, side, side, generator=generator, dtype=torch.float64).to(
        dtype
    )
