"""Tiny vision transformers, and a tiny POA with one of them."""

import torch

TINY_BACKBONE = {
    'type': 'ElasticVisionTransformer',
    'arch': {'embed_dims': 32, 'num_layers': 4, 'num_heads': 4, 'feedforward_channels': 64},
    'img_size': 16,
    'patch_size': 4,
    'widths': [16, 24, 32],
    'depths': [2, 3, 4],
    'layer_scale_init_value': 1.0,
}
TINY_POA = {
    'type': 'POA',
    'backbone': TINY_BACKBONE,
    'head': {
        'type': 'MultiProjectionHead',
        'num_prototypes': [12, 20],
        'hidden': 24,
        'bottleneck': 8,
    },
}
HEADS = (24, 40)  # prototypes of the heads of a tiny POA
VIT = {
    'type': 'ElasticVisionTransformer',
    'arch': {'embed_dims': 32, 'num_layers': 3, 'num_heads': 4, 'feedforward_channels': 64},
    'widths': [16, 24, 32],
    'depths': [2, 3],
    'img_size': 16,
    'patch_size': 8,
    'layer_scale_init_value': 0.5,
}


def poa_config(**changes):
    """A POA that trains in milliseconds."""
    head = {
        'type': 'MultiProjectionHead',
        'num_prototypes': HEADS,
        'hidden': 32,
        'bottleneck': 16,
    }
    return {'type': 'POA', 'backbone': dict(VIT), 'head': head, **changes}


def randomise(module: torch.nn.Module, seed: int = 0) -> torch.nn.Module:
    """Give every parameter values that no slice shares with another."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            parameter.add_(0.1 * noise.to(parameter.dtype))
    return module
