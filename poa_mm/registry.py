"""Registries: ours, and mmpretrain's under the names this package uses.

POA is an mmpretrain self-supervised algorithm, so its classes register in mmpretrain's registries
and resolve under ``default_scope = 'mmpretrain'``. ``ELASTIC_BACKBONES`` lists the supernet
families alone; a family registers in both.
"""

from mmengine.registry import Registry
from mmpretrain.registry import DATASETS, HOOKS, MODELS, TRANSFORMS

__all__ = ['DATASETS', 'ELASTIC_BACKBONES', 'HOOKS', 'MODELS', 'TRANSFORMS']

ELASTIC_BACKBONES = Registry('elastic backbone', scope='poa_mm')
