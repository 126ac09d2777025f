"""Elastic backbones, one file a family."""

from poa_mm.models.backbones.swin import ElasticSwinTransformer
from poa_mm.models.backbones.vit import ElasticVisionTransformer

__all__ = ['ElasticSwinTransformer', 'ElasticVisionTransformer']
