"""Hold the registry of elastic backbones, and name mmpretrain's for this package.

POA is an mmpretrain self-supervised algorithm, so its classes register in mmpretrain's registries
and resolve under ``default_scope = 'mmpretrain'``. ``ELASTIC_BACKBONES`` lists the supernet
families alone; a family registers in both.
"""

from collections.abc import Mapping
from typing import Any

import torch.nn as nn
from mmengine.registry import DefaultScope, Registry
from mmpretrain.registry import DATASETS, HOOKS, MODELS, TRANSFORMS

__all__ = [
    'DATASETS',
    'ELASTIC_BACKBONES',
    'HOOKS',
    'MODELS',
    'TRANSFORMS',
    'build_model',
    'package_to_import',
]

ELASTIC_BACKBONES = Registry('elastic backbone', scope='poa_mm')


def build_model(cfg: Mapping[str, Any]) -> nn.Module:
    """Build a module whose names mean mmpretrain's and this package's classes.

    ``MODELS.build`` looks first where the run that was built last in this process looks: after one
    of mmseg, ``'VisionTransformer'`` would be mmseg's and ``'POA'`` unknown.

    Args:
        cfg: Its config, with the registered name under ``type``.
    """
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        return MODELS.build(cfg)


def package_to_import(cfg: Mapping[str, Any]) -> str:
    """Name the package that must be imported before a stock backbone can be built.

    Args:
        cfg: Its config, as ``subnet_cfg`` of a supernet gives it.

    Returns:
        Such as ``'poa_mm'``, or '' where OpenMMLab's libraries know the class by themselves.
    """
    package = MODELS.get(cfg['type']).__module__.partition('.')[0]
    return '' if package == 'mmpretrain' else package
