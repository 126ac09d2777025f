"""Models: elastic backbones, projection heads, losses and the POA algorithm."""

from poa_mm.models.backbones import ElasticSwinTransformer, ElasticVisionTransformer
from poa_mm.models.heads import MultiProjectionHead
from poa_mm.models.selfsup import POA

__all__ = ['POA', 'ElasticSwinTransformer', 'ElasticVisionTransformer', 'MultiProjectionHead']
