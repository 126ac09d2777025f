"""ViTs of the authors' code.

What a converted one computes equals the original for images of the size that the position
embedding is made for; for others theirs resizes it by a factor of (n + 0.1)/N, ours to the grid.
"""

import math
from typing import Any

from poa_mm.checkpoints.official.settings import Settings
from poa_mm.checkpoints.official.tables import (
    Family,
    Key,
    State,
    count,
    elastic_axis,
    elastic_widths,
    shape_of,
)

LAYER_SCALE_INIT = 1e-5  # of the authors' config; any value but 0 makes room for the weights
KEYS = (
    Key('backbone.cls_token', 'backbone.cls_token'),
    Key('backbone.pos_embed', 'backbone.pos_embed'),
    Key('backbone.mask_token', 'backbone.mask_token', lambda token: token.unsqueeze(0)),
    Key('backbone.patch_embed.proj.*', 'backbone.patch_embed.projection.*'),
    Key('backbone.blocks.#.norm1.norm.*', 'backbone.layers.#.ln1.*'),
    Key('backbone.blocks.#.attn.qkv.linear.*', 'backbone.layers.#.attn.qkv.*'),
    Key('backbone.blocks.#.attn.proj.linear.*', 'backbone.layers.#.attn.proj.*'),
    Key('backbone.blocks.#.ls1.gamma', 'backbone.layers.#.attn.gamma1.weight'),
    Key('backbone.blocks.#.norm2.norm.*', 'backbone.layers.#.ln2.*'),
    Key('backbone.blocks.#.mlp.fc1.linear.*', 'backbone.layers.#.ffn.layers.0.0.*'),
    Key('backbone.blocks.#.mlp.fc2.linear.*', 'backbone.layers.#.ffn.layers.1.*'),
    Key('backbone.blocks.#.ls2.gamma', 'backbone.layers.#.ffn.gamma2.weight'),
    Key('backbone.norm.norm.*', 'backbone.ln1.*'),
)


def backbone_config(state: State, settings: Settings) -> dict[str, Any]:
    """Derive the config of the elastic ViT that the weights of a branch fit.

    Raises:
        ValueError: Weights that are missing or make no sense, or settings that do not fit.
    """
    _, tokens, width = shape_of(state, 'backbone.pos_embed', 3)
    _, channels, _, patch = shape_of(state, 'backbone.patch_embed.proj.weight', 4)
    hidden, _ = shape_of(state, 'backbone.blocks.0.mlp.fc1.linear.weight', 2)
    depth = count(state, 'backbone.blocks.')
    side = math.isqrt(tokens - 1)
    if not side or side**2 != tokens - 1:
        raise ValueError(
            f'backbone.pos_embed has {tokens} tokens, not those of a square grid and a class token'
        )
    head_dim = settings['head_dim']
    if head_dim < 1 or width % head_dim:
        raise ValueError(f'head_dim must divide the width {width}, got {head_dim}')
    scaled = any(key.endswith('.ls1.gamma') for key in state)
    return {
        'type': 'ElasticVisionTransformer',
        'arch': {
            'embed_dims': width,
            'num_layers': depth,
            'num_heads': width // head_dim,
            'feedforward_channels': hidden,
        },
        'img_size': side * patch,
        'patch_size': patch,
        'in_channels': channels,
        'widths': elastic_widths(width, settings, 'head_dim', head_dim),
        'depths': elastic_axis('depth', settings['min_depth'], depth, settings['depth_interval']),
        'gamma': settings['gamma'],
        'layer_scale_init_value': LAYER_SCALE_INIT if scaled else 0.0,
    }


VIT = Family('ViT', 'backbone.blocks.', KEYS, backbone_config)
