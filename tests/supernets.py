"""Checkpoints of tiny supernets of all families, and the stock backbones cut out of them."""

import torch
from tiny import TINY_BACKBONE, randomise

from poa_mm.checkpoints.checkpoint import SUPERNET_INFO
from poa_mm.registry import ELASTIC_BACKBONES

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


def save_supernet(path, cfg=TINY_BACKBONE, **overrides):
    """Write the checkpoint of a run with this backbone; the teacher's and the student's nets."""
    nets = {}
    state = {'head.weight': torch.ones(2)}
    for seed, (branch, prefix) in enumerate(
        [('teacher', 'teacher.backbone.'), ('student', 'backbone.')]
    ):
        nets[branch] = randomise(ELASTIC_BACKBONES.build({**cfg, **overrides}), seed)
        nets[branch].eval()
        state |= {prefix + name: value for name, value in nets[branch].state_dict().items()}
    info = {'backbone': nets['teacher'].config, 'config': {}}
    torch.save({'state_dict': state, SUPERNET_INFO: info}, path)
    return nets
