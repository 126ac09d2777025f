"""Checkpoints as the authors' code writes them, and what their networks compute, in plain loops."""

from typing import NamedTuple

import torch
import torch.nn.functional as F


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


def official_shapes(dims):
    """Names and shapes of one branch of an official checkpoint."""
    width = dims.width
    shapes = {
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
            shapes[f'blocks.{i}.{name}.linear.weight'] = (rows, columns)
            shapes[f'blocks.{i}.{name}.linear.bias'] = (rows,)
        for norm in ('norm1', 'norm2'):
            shapes[f'blocks.{i}.{norm}.norm.weight'] = (width,)
            shapes[f'blocks.{i}.{norm}.norm.bias'] = (width,)
        if dims.layer_scale:
            shapes[f'blocks.{i}.ls1.gamma'] = shapes[f'blocks.{i}.ls2.gamma'] = (width,)
    shapes = {f'backbone.{name}': shape for name, shape in shapes.items()}
    for i, prototypes in enumerate(dims.prototypes):
        for name, rows, columns in (
            (f'mlp{i}.0.linear', dims.hidden, width),
            (f'mlp{i}.2', dims.hidden, dims.hidden),
            (f'mlp{i}.4', dims.bottleneck, dims.hidden),
        ):
            shapes[f'dino_head.{name}.weight'] = (rows, columns)
            shapes[f'dino_head.{name}.bias'] = (rows,)
        shapes[f'dino_head.last_layer{i}.weight_g'] = (prototypes, 1)
        shapes[f'dino_head.last_layer{i}.weight_v'] = (prototypes, dims.bottleneck)
    return shapes


def official_state(seed=0, dims=TINY):
    """One branch with random weights."""
    generator = torch.Generator().manual_seed(seed)
    return {
        name: 0.4 * torch.randn(shape, generator=generator)
        for name, shape in official_shapes(dims).items()
    }


def linear(state, name, x, width, rows, full):
    """A reduced linear layer: a corner of the intact weight, and an input scaled by α."""
    weight, bias = state[f'{name}.weight'], state[f'{name}.bias']
    return (x * (full / width)) @ weight[rows, : x.shape[-1]].T + bias[rows]


def layer_norm(state, name, x):
    width = x.shape[-1]
    mean = x.mean(dim=-1, keepdim=True)
    variance = (x - mean).square().mean(dim=-1, keepdim=True)
    normal = (x - mean) / (variance + 1e-6).sqrt()
    return normal * state[f'{name}.norm.weight'][:width] + state[f'{name}.norm.bias'][:width]


def gelu(x):
    return x * (1 + torch.erf(x / 2**0.5)) / 2


def attention(state, name, x, full, head_dim):
    width = x.shape[-1]
    heads = []
    for head in range(width // head_dim):
        q, k, v = (
            linear(state, f'{name}.qkv.linear', x, width, slice(start, start + head_dim), full)
            for start in (group * full + head * head_dim for group in range(3))
        )
        scores = (q @ k.transpose(1, 2)) / head_dim**0.5
        weights = scores.exp() / scores.exp().sum(dim=-1, keepdim=True)
        heads.append(weights @ v)
    return linear(
        state, f'{name}.proj.linear', torch.cat(heads, dim=-1), width, slice(0, width), full
    )


def official_tokens(state, images, width, depth, dims=TINY, masks=None):
    """All tokens (B, 1 + N, width) of a sub-network after the final norm.

    Args:
        state: One branch, with the dtype of ``images``.
        images: (B, 3, grid · patch, grid · patch).
        width: Of the sub-network.
        depth: Of the sub-network.
        dims: Of the intact network.
        masks: Patches that the mask token replaces, (B, N) bool.
    """
    state = {k.removeprefix('backbone.'): v for k, v in state.items()}
    patch, full = dims.patch, dims.width
    kernel = state['patch_embed.proj.weight'][:width]
    sequences = []
    for b, image in enumerate(images):
        tokens = [state['cls_token'][0, 0, :width]]
        for row in range(dims.grid):
            for column in range(dims.grid):
                window = image[:, row * patch :, column * patch :][:, :patch, :patch]
                token = (kernel * window).sum(dim=(1, 2, 3)) + state['patch_embed.proj.bias'][
                    :width
                ]
                if masks is not None and masks[b, row * dims.grid + column]:
                    token = state['mask_token'][0, :width]
                tokens.append(token)
        sequences.append(torch.stack(tokens))
    x = torch.stack(sequences) + state['pos_embed'][..., :width]
    hidden = dims.mlp * width // full
    for j in range(depth):
        name = f'blocks.{(dims.depth - 1) * j // (depth - 1)}'
        part = attention(
            state, f'{name}.attn', layer_norm(state, f'{name}.norm1', x), full, dims.head_dim
        )
        x = x + part * (state[f'{name}.ls1.gamma'][:width] if dims.layer_scale else 1)
        part = layer_norm(state, f'{name}.norm2', x)
        part = gelu(linear(state, f'{name}.mlp.fc1.linear', part, width, slice(0, hidden), full))
        part = linear(state, f'{name}.mlp.fc2.linear', part, width, slice(0, width), full)
        x = x + part * (state[f'{name}.ls2.gamma'][:width] if dims.layer_scale else 1)
    return layer_norm(state, 'norm', x)


def official_logits(state, features, dims=TINY):
    """Logits (B, K) of each head for features (B, width)."""
    state = {k.removeprefix('dino_head.'): v for k, v in state.items()}
    logits = []
    for i in range(len(dims.prototypes)):
        x = gelu(
            linear(state, f'mlp{i}.0.linear', features, features.shape[1], slice(None), dims.width)
        )
        x = gelu(F.linear(x, state[f'mlp{i}.2.weight'], state[f'mlp{i}.2.bias']))
        x = F.linear(x, state[f'mlp{i}.4.weight'], state[f'mlp{i}.4.bias'])
        x = x / x.square().sum(dim=1, keepdim=True).sqrt()
        v = state[f'last_layer{i}.weight_v']
        rows = state[f'last_layer{i}.weight_g'] * v / v.square().sum(dim=1, keepdim=True).sqrt()
        logits.append(x @ rows.T)
    return logits
