"""ViTs of the authors' code."""

from typing import NamedTuple

import torch

from official.parts import (
    attention,
    backbone_of,
    feed_forward,
    head_shapes,
    layer_norm,
    random_state,
)

EPS = 1e-6


class Dims(NamedTuple):
    """Of a ViT and its heads; the defaults are tiny."""

    width: int = 24
    depth: int = 5
    head_dim: int = 8
    mlp: int = 48
    patch: int = 4
    grid: int = 3
    layer_scale: bool = True
    hidden: int = 20
    bottleneck: int = 6
    prototypes: tuple[int, ...] = (7, 11)


TINY = Dims()


def shapes(dims=TINY):
    """Names and shapes of one branch of an official checkpoint."""
    width = dims.width
    found = {
        'cls_token': (1, 1, width),
        'pos_embed': (1, dims.grid**2 + 1, width),
        'mask_token': (1, width),
        'patch_embed.proj.weight': (width, 3, dims.patch, dims.patch),
        'patch_embed.proj.bias': (width,),
        'norm.norm.weight': (width,),
        'norm.norm.bias': (width,),
    }
    for i in range(dims.depth):
        for name, rows, columns in (
            ('attn.qkv', 3 * width, width),
            ('attn.proj', width, width),
            ('mlp.fc1', dims.mlp, width),
            ('mlp.fc2', width, dims.mlp),
        ):
            found[f'blocks.{i}.{name}.linear.weight'] = (rows, columns)
            found[f'blocks.{i}.{name}.linear.bias'] = (rows,)
        for norm in ('norm1', 'norm2'):
            found[f'blocks.{i}.{norm}.norm.weight'] = (width,)
            found[f'blocks.{i}.{norm}.norm.bias'] = (width,)
        if dims.layer_scale:
            found[f'blocks.{i}.ls1.gamma'] = found[f'blocks.{i}.ls2.gamma'] = (width,)
    backbone = {f'backbone.{name}': shape for name, shape in found.items()}
    return {**backbone, **head_shapes(width, dims)}


def state(seed=0, dims=TINY):
    """One branch with random weights."""
    return random_state(shapes(dims), seed)


def tokens(state, images, width, depth, dims=TINY, masks=None):
    """All tokens (B, 1 + N, width) of a sub-network after the final norm.

    Args:
        state: One branch, with the dtype of ``images``.
        images: (B, 3, grid · patch, grid · patch).
        width: Of the sub-network.
        depth: Of the sub-network.
        dims: Of the intact network.
        masks: Patches that the mask token replaces, (B, N) bool.
    """
    weights = backbone_of(state)
    patch, full = dims.patch, dims.width
    kernel, bias = (weights[f'patch_embed.proj.{kind}'][:width] for kind in ('weight', 'bias'))
    sequences = []
    for b, image in enumerate(images):
        sequence = [weights['cls_token'][0, 0, :width]]
        for row in range(dims.grid):
            for column in range(dims.grid):
                window = image[:, row * patch :, column * patch :][:, :patch, :patch]
                token = (kernel * window).sum(dim=(1, 2, 3)) + bias
                if masks is not None and masks[b, row * dims.grid + column]:
                    token = weights['mask_token'][0, :width]
                sequence.append(token)
        sequences.append(torch.stack(sequence))
    x = torch.stack(sequences) + weights['pos_embed'][..., :width]
    for j in range(depth):
        name = f'blocks.{(dims.depth - 1) * j // (depth - 1)}'
        part = layer_norm(weights, f'{name}.norm1', x, EPS)
        part = attention(weights, f'{name}.attn', part, dims.head_dim)
        x = x + part * (weights[f'{name}.ls1.gamma'][:width] if dims.layer_scale else 1)
        part = layer_norm(weights, f'{name}.norm2', x, EPS)
        part = feed_forward(weights, f'{name}.mlp.fc1', f'{name}.mlp.fc2', part, dims.mlp / full)
        x = x + part * (weights[f'{name}.ls2.gamma'][:width] if dims.layer_scale else 1)
    return layer_norm(weights, 'norm', x, EPS)
