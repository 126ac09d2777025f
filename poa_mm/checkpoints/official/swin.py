"""Swin Transformers of the authors' code.

They normalise the patch embedding before they slice it, keep each block's own window shift and pad
maps that are smaller than a window: ``official`` and ``pad_small_map`` of our elastic Swin. Their
patch merging lines up the four patches of a neighbourhood one after the other, mmpretrain's the
four values of a channel: weights are permuted. Pre-training uses the norm of the last stage alone,
but all four are kept, as outputs of four stages.
"""

import math
from typing import Any

from torch import Tensor

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

STAGES = 4
ELASTIC_STAGE = 2
MERGED = 4  # patches that a merging joins


def channel_major(tensor: Tensor) -> Tensor:
    """Reorder the merged channels of the last axis: theirs is p·C + c, mmpretrain's c·4 + p.

    p = 2·row + column is the place within the 2 × 2 patches.
    """
    if not tensor.ndim or tensor.shape[-1] % MERGED:
        return tensor
    return tensor.unflatten(-1, (MERGED, -1)).transpose(-1, -2).flatten(-2)


KEYS = (
    Key('backbone.mask_token', 'backbone.mask_token', lambda token: token.unsqueeze(0)),
    Key('backbone.patch_embed.proj.*', 'backbone.patch_embed.projection.*'),
    Key('backbone.patch_embed.norm.norm.*', 'backbone.patch_embed.norm.*'),
    *(
        Key(f'backbone.stages.#.blocks.#.{theirs}', f'backbone.stages.#.blocks.#.{ours}')
        for theirs, ours in (
            ('norm1.norm.*', 'norm1.*'),
            ('attn.w_msa.relative_position_bias_table',) * 2,
            ('attn.w_msa.relative_position_index',) * 2,
            ('attn.w_msa.qkv.linear.*', 'attn.w_msa.qkv.*'),
            ('attn.w_msa.proj.linear.*', 'attn.w_msa.proj.*'),
            ('norm2.norm.*', 'norm2.*'),
            ('ffn.fc1.linear.*', 'ffn.layers.0.0.*'),
            ('ffn.fc2.linear.*', 'ffn.layers.1.*'),
        )
    ),
    Key(
        'backbone.stages.#.downsample.norm.norm.*',
        'backbone.stages.#.downsample.norm.*',
        channel_major,
    ),
    Key(
        'backbone.stages.#.downsample.reduction.linear.weight',
        'backbone.stages.#.downsample.reduction.weight',
        channel_major,
    ),
    Key('backbone.norm#.norm.*', 'backbone.norm#.*'),
)


def backbone_config(state: State, settings: Settings) -> dict[str, Any]:
    """Derive the config of the elastic Swin Transformer that the weights of a branch fit.

    Raises:
        ValueError: Weights that are missing or make no sense, or settings that do not fit.
    """
    width, channels, _, patch = shape_of(state, 'backbone.patch_embed.proj.weight', 4)
    stages = count(state, 'backbone.stages.')
    if stages != STAGES:
        raise ValueError(f'it has {stages} stages, not the {STAGES} of a Swin Transformer')
    depths = [count(state, f'backbone.stages.{stage}.blocks.') for stage in range(STAGES)]
    window, heads = _attention(state, width)
    total = sum(depths)
    return {
        'type': 'ElasticSwinTransformer',
        'arch': {'embed_dims': width, 'depths': depths, 'num_heads': heads},
        'patch_size': patch,
        'in_channels': channels,
        'window_size': window,
        'pad_small_map': True,
        'official': True,
        'out_indices': list(range(STAGES)),
        'drop_path_rate': 0.0,  # regularisation is up to whoever trains on
        'widths': elastic_widths(width, settings, 'the head dimension', width // heads[0]),
        'depths': elastic_axis(
            'depth',
            settings['min_depth'],
            total,
            settings['depth_interval'],
            least=total - depths[ELASTIC_STAGE] + 1,
        ),
        'gamma': settings['gamma'],
    }


def _attention(state: State, width: int) -> tuple[int, list[int]]:
    """Read off the window size, and the number of heads in each stage."""
    heads = []
    for stage in range(STAGES):
        key = f'backbone.stages.{stage}.blocks.0.attn.w_msa.relative_position_bias_table'
        offsets, number = shape_of(state, key, 2)
        side = math.isqrt(offsets)
        if side**2 != offsets or side % 2 == 0:
            raise ValueError(f'{key} has {offsets} rows, not the offsets within a square window')
        heads.append(number)
    if width % heads[0] or heads != [heads[0] * 2**stage for stage in range(STAGES)]:
        raise ValueError(
            f'its stages have {heads} heads; the first number must divide the width {width}, each '
            'other one is twice the one before'
        )
    return side // 2 + 1, heads


SWIN = Family('Swin', 'backbone.stages.', KEYS, backbone_config)
