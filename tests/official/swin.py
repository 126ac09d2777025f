"""Swin Transformers of the authors' code."""

from collections import defaultdict
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F

from official.parts import (
    attention,
    backbone_of,
    feed_forward,
    head_shapes,
    layer_norm,
    normal,
    random_state,
)

EPS = 1e-5
PLACES = [(0, 0), (0, 1), (1, 0), (1, 1)]  # of the patches that are merged, in order


class Dims(NamedTuple):
    """Of a Swin Transformer and its heads; the defaults are tiny."""

    width: int = 24
    head_dim: int = 8
    depths: tuple[int, ...] = (1, 2, 5, 2)
    window: int = 3
    patch: int = 2
    mlp_ratio: int = 4
    hidden: int = 20
    bottleneck: int = 6
    prototypes: tuple[int, ...] = (7, 11)


TINY = Dims()


def shapes(dims=TINY):
    """Names and shapes of the parameters of one branch of an official checkpoint."""
    width = dims.width
    found = {
        'mask_token': (1, width),
        'patch_embed.proj.weight': (width, 3, dims.patch, dims.patch),
        'patch_embed.proj.bias': (width,),
        **norm_shapes('patch_embed.norm', width),
    }
    for stage, depth in enumerate(dims.depths):
        for block in range(depth):
            found.update(block_shapes(f'stages.{stage}.blocks.{block}', width, dims))
        if stage < len(dims.depths) - 1:
            merging = f'stages.{stage}.downsample'
            found.update(norm_shapes(f'{merging}.norm', 4 * width))
            found[f'{merging}.reduction.linear.weight'] = (2 * width, 4 * width)
        found.update(norm_shapes(f'norm{stage}', width))
        width *= 2
    backbone = {f'backbone.{name}': shape for name, shape in found.items()}
    return {**backbone, **head_shapes(width // 2, dims)}


def norm_shapes(name, width):
    return {f'{name}.norm.weight': (width,), f'{name}.norm.bias': (width,)}


def block_shapes(block, width, dims):
    found = {**norm_shapes(f'{block}.norm1', width), **norm_shapes(f'{block}.norm2', width)}
    table = f'{block}.attn.w_msa.relative_position_bias_table'
    found[table] = ((2 * dims.window - 1) ** 2, width // dims.head_dim)
    mlp = dims.mlp_ratio * width
    for name, rows, columns in (
        ('attn.w_msa.qkv', 3 * width, width),
        ('attn.w_msa.proj', width, width),
        ('ffn.fc1', mlp, width),
        ('ffn.fc2', width, mlp),
    ):
        found[f'{block}.{name}.linear.weight'] = (rows, columns)
        found[f'{block}.{name}.linear.bias'] = (rows,)
    return found


def position_index(window):
    """Row of the bias table for each pair of places in a window."""
    places = [(row, column) for row in range(window) for column in range(window)]
    index = [[offset(a[0] - b[0], a[1] - b[1], window) for b in places] for a in places]
    return torch.tensor(index)


def offset(rows, columns, window):
    return (rows + window - 1) * (2 * window - 1) + columns + window - 1


def state(seed=0, dims=TINY):
    """One branch with random weights and the buffers."""
    found = random_state(shapes(dims), seed)
    for stage, depth in enumerate(dims.depths):
        for block in range(depth):
            name = f'backbone.stages.{stage}.blocks.{block}.attn.w_msa.relative_position_index'
            found[name] = position_index(dims.window)
    return found


def stage_maps(state, images, width, depth, dims=TINY, masks=None):
    """Maps (B, h, w, width · 2^k) of all stages after their norms, for a sub-network.

    Args:
        state: One branch, with the dtype of ``images``.
        images: (B, 3, H, W), a multiple of the patch.
        width: Of the sub-network's first stage.
        depth: Of the sub-network, over all stages.
        dims: Of the intact network.
        masks: Patches that the mask token replaces, (B, rows, columns) bool.
    """
    weights = backbone_of(state)
    x = embed(weights, images, width)
    if masks is not None:
        fine = np.kron(masks.numpy(), np.ones((4, 4), dtype=bool))
        x[torch.from_numpy(fine)] = weights['mask_token'][0, :width]
    maps = []
    for stage, full_depth in enumerate(dims.depths):
        kept = full_depth - (sum(dims.depths) - depth if stage == 2 else 0)
        for block in np.linspace(0, full_depth - 1, kept).astype(int):
            name = f'stages.{stage}.blocks.{block}'
            shift = dims.window // 2 if block % 2 else 0  # of the intact network's block
            part = layer_norm(weights, f'{name}.norm1', x, EPS)
            x = x + window_attention(weights, f'{name}.attn.w_msa', part, shift, dims)
            part = layer_norm(weights, f'{name}.norm2', x, EPS)
            x = x + feed_forward(weights, f'{name}.ffn.fc1', f'{name}.ffn.fc2', part, 4)
        maps.append(layer_norm(weights, f'norm{stage}', x, EPS))
        if stage < len(dims.depths) - 1:
            x = merge(weights, f'stages.{stage}.downsample', x)
    return maps


def embed(weights, images, width):
    """All channels are normalised, then the first ones are kept."""
    kernel, bias = weights['patch_embed.proj.weight'], weights['patch_embed.proj.bias']
    x = F.conv2d(images, kernel, bias, stride=kernel.shape[-1]).permute(0, 2, 3, 1)
    return layer_norm(weights, 'patch_embed.norm', x, EPS)[..., :width].clone()


def window_attention(weights, name, x, shift, dims):
    """Rows and columns that fall into one window after a cyclic shift, but not around the edge."""
    height, width = x.shape[1:3]
    x = F.pad(x, (0, 0, 0, -width % dims.window, 0, -height % dims.window))
    out = torch.zeros_like(x)
    for rows in groups(x.shape[1], shift, dims.window):
        for columns in groups(x.shape[2], shift, dims.window):
            places = [(row, column) for row in rows for column in columns]
            index = ([row for row, _ in places], [column for _, column in places])
            bias_rows = [
                [offset(a[0] - b[0], a[1] - b[1], dims.window) for b in places] for a in places
            ]
            bias = weights[f'{name}.relative_position_bias_table'][torch.tensor(bias_rows)]
            out[:, index[0], index[1]] = attention(
                weights, name, x[:, index[0], index[1]], dims.head_dim, bias
            )
    return out[:, :height, :width]


def groups(length, shift, window):
    """Places along one axis, by the window that they fall into."""
    found = defaultdict(list)
    for place in range(length):
        found[(place - shift) // window].append(place)
    return found.values()


def merge(weights, name, x):
    """Four neighbours side by side, a prefix of the intact channels of each of them."""
    width = x.shape[-1]
    x = F.pad(x, (0, 0, 0, x.shape[2] % 2, 0, x.shape[1] % 2))
    x = torch.cat([x[:, row::2, column::2] for row, column in PLACES], dim=-1)
    kernel = weights[f'{name}.reduction.linear.weight']
    full = kernel.shape[1] // 4
    kept = [group * full + channel for group in range(4) for channel in range(width)]
    weight, bias = (
        weights[f'{name}.norm.norm.weight'][kept],
        weights[f'{name}.norm.norm.bias'][kept],
    )
    return (normal(x, weight, bias, EPS) * (full / width)) @ kernel[: 2 * width, kept].T


def tokens(state, images, width, depth, dims=TINY, masks=None):
    """Class token (B, D) and patch tokens (B, 2h, 2w, D), nearest neighbour."""
    last = stage_maps(state, images, width, depth, dims, masks)[-1]
    return last.mean(dim=(1, 2)), last.repeat_interleave(2, dim=1).repeat_interleave(2, dim=2)
