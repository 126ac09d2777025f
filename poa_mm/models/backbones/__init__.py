"""Elastic backbones, one file a family."""

from poa_mm.models.backbones.bottleneck_resnet import BottleneckResNet
from poa_mm.models.backbones.elastic_backbone import ElasticBackbone
from poa_mm.models.backbones.resnet import ElasticResNet
from poa_mm.models.backbones.swin import ElasticSwinTransformer
from poa_mm.models.backbones.vit import ElasticVisionTransformer

__all__ = [
    'BottleneckResNet',
    'ElasticBackbone',
    'ElasticResNet',
    'ElasticSwinTransformer',
    'ElasticVisionTransformer',
]
