"""Models: elastic backbones, projection heads, losses and the POA algorithm."""

from poa_mm.models.backbones import (
    BottleneckResNet,
    ElasticBackbone,
    ElasticResNet,
    ElasticSwinTransformer,
    ElasticVisionTransformer,
)
from poa_mm.models.heads import MultiProjectionHead
from poa_mm.models.necks import ProbeFeatures
from poa_mm.models.selfsup import (
    POA,
    POAV1,
    POAV2,
    POAV3,
    SEED,
    BlockMasks,
    Pretraining,
    SelfDistillation,
)

__all__ = [
    'POA',
    'POAV1',
    'POAV2',
    'POAV3',
    'SEED',
    'BlockMasks',
    'BottleneckResNet',
    'ElasticBackbone',
    'ElasticResNet',
    'ElasticSwinTransformer',
    'ElasticVisionTransformer',
    'MultiProjectionHead',
    'Pretraining',
    'ProbeFeatures',
    'SelfDistillation',
]
