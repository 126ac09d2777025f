"""Elastic backbones, one file a family, and what a family outside of poa_mm builds on."""

from poa_mm.models.backbones.bottleneck_resnet import BottleneckResNet
from poa_mm.models.backbones.elastic_backbone import ElasticBackbone, stock_arguments
from poa_mm.models.backbones.family import ElasticFamily
from poa_mm.models.backbones.feature_maps import finer_tokens, upsampled_mask
from poa_mm.models.backbones.resnet import ElasticResNet
from poa_mm.models.backbones.swin import ElasticSwinTransformer
from poa_mm.models.backbones.vit import ElasticVisionTransformer
from poa_mm.models.backbones.vit_layers import ElasticPatchEmbed

__all__ = [
    'BottleneckResNet',
    'ElasticBackbone',
    'ElasticFamily',
    'ElasticPatchEmbed',
    'ElasticResNet',
    'ElasticSwinTransformer',
    'ElasticVisionTransformer',
    'finer_tokens',
    'stock_arguments',
    'upsampled_mask',
]
