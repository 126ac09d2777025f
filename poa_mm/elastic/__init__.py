"""Elastic networks: sub-networks, their space, and layers that run at any width. Pure torch."""

from poa_mm.elastic.layers import (
    ElasticConv2d,
    ElasticGroupNorm,
    ElasticInputConv2d,
    ElasticInputLinear,
    ElasticLayer,
    ElasticLayerNorm,
    ElasticLayerScale,
    ElasticLinear,
    ElasticOutputConv2d,
    ElasticQKV,
    make_elastic,
    num_sliced,
)
from poa_mm.elastic.sampling import SubnetSampler
from poa_mm.elastic.space import (
    AXES,
    Depth,
    SearchSpace,
    Subnet,
    active_blocks,
    head_widths,
    select_subnets,
    subnet_of_name,
    well_known_name,
)

__all__ = [
    'AXES',
    'Depth',
    'ElasticConv2d',
    'ElasticGroupNorm',
    'ElasticInputConv2d',
    'ElasticInputLinear',
    'ElasticLayer',
    'ElasticLayerNorm',
    'ElasticLayerScale',
    'ElasticLinear',
    'ElasticOutputConv2d',
    'ElasticQKV',
    'SearchSpace',
    'Subnet',
    'SubnetSampler',
    'active_blocks',
    'head_widths',
    'make_elastic',
    'num_sliced',
    'select_subnets',
    'subnet_of_name',
    'well_known_name',
]
