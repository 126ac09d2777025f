"""Checkpoints as training runs of tiny supernets leave them."""

import torch

from poa_mm.checkpoints.checkpoint import SUPERNET_INFO
from poa_mm.registry import ELASTIC_BACKBONES
from tiny.families import IMAGES
from tiny.networks import TINY_BACKBONE, randomise


def save_checkpoint(path, teacher, student=None, config=IMAGES):
    """What a training run of these networks leaves."""
    state = {f'teacher.backbone.{name}': value for name, value in teacher.state_dict().items()}
    student = student or teacher
    state |= {f'backbone.{name}': value for name, value in student.state_dict().items()}
    torch.save(
        {'state_dict': state, SUPERNET_INFO: {'backbone': teacher.config, 'config': config}}, path
    )
    return path


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
