"""What the families share: reduced layers, projection heads, random weights."""

import math

import torch
import torch.nn.functional as F


def random_state(shapes, seed):
    """Weights that keep the size of activations, and norms and biases that are not trivial."""
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for name, shape in shapes.items():
        matrix = len(shape) > 1 and name.endswith('.weight')
        scale = math.prod(shape[1:]) ** -0.5 if matrix else 0.4
        state[name] = scale * torch.randn(shape, generator=generator)
    return state


def hollow_state(shapes):
    """Weights of any size in hardly any memory."""
    return {name: torch.ones(1).expand(shape) for name, shape in shapes.items()}


def double(state):
    return {name: value.double() for name, value in state.items()}


def backbone_of(state):
    return {
        name.removeprefix('backbone.'): value
        for name, value in state.items()
        if name.startswith('backbone.')
    }


def head_shapes(features, dims):
    """Names and shapes of the projection heads on ``features`` channels."""
    shapes = {}
    for i, prototypes in enumerate(dims.prototypes):
        for name, rows, columns in (
            (f'mlp{i}.0.linear', dims.hidden, features),
            (f'mlp{i}.2', dims.hidden, dims.hidden),
            (f'mlp{i}.4', dims.bottleneck, dims.hidden),
        ):
            shapes[f'dino_head.{name}.weight'] = (rows, columns)
            shapes[f'dino_head.{name}.bias'] = (rows,)
        shapes[f'dino_head.last_layer{i}.weight_g'] = (prototypes, 1)
        shapes[f'dino_head.last_layer{i}.weight_v'] = (prototypes, dims.bottleneck)
    return shapes


def head_logits(state, features, dims):
    """Logits (B, K) of each head for features (B, width)."""
    state = {k.removeprefix('dino_head.'): v for k, v in state.items()}
    found = []
    for i in range(len(dims.prototypes)):
        x = gelu(linear(state, f'mlp{i}.0.linear', features, slice(None)))
        x = gelu(F.linear(x, state[f'mlp{i}.2.weight'], state[f'mlp{i}.2.bias']))
        x = F.linear(x, state[f'mlp{i}.4.weight'], state[f'mlp{i}.4.bias'])
        x = x / x.square().sum(dim=1, keepdim=True).sqrt()
        v = state[f'last_layer{i}.weight_v']
        rows = state[f'last_layer{i}.weight_g'] * v / v.square().sum(dim=1, keepdim=True).sqrt()
        found.append(x @ rows.T)
    return found


def linear(state, name, x, rows):
    """A reduced linear layer: a corner of the intact weight, and an input scaled by α."""
    weight, bias = state[f'{name}.weight'], state[f'{name}.bias']
    alpha = weight.shape[1] / x.shape[-1]
    return (x * alpha) @ weight[rows, : x.shape[-1]].T + bias[rows]


def normal(x, weight, bias, eps):
    """Layer norm over the last axis."""
    mean = x.mean(dim=-1, keepdim=True)
    variance = (x - mean).square().mean(dim=-1, keepdim=True)
    return (x - mean) / (variance + eps).sqrt() * weight + bias


def layer_norm(state, name, x, eps):
    """A reduced layer norm."""
    width = x.shape[-1]
    return normal(x, state[f'{name}.norm.weight'][:width], state[f'{name}.norm.bias'][:width], eps)


def attention(state, name, x, head_dim, bias=None):
    """Reduced attention among tokens (B, N, width), with a bias (N, N, heads) or none."""
    width, full = x.shape[-1], state[f'{name}.proj.linear.weight'].shape[0]
    heads = []
    for head in range(width // head_dim):
        q, k, v = (
            linear(state, f'{name}.qkv.linear', x, slice(start, start + head_dim))
            for start in (group * full + head * head_dim for group in range(3))
        )
        scores = q @ k.transpose(1, 2) / head_dim**0.5
        if bias is not None:
            scores = scores + bias[..., head]
        heads.append(scores.softmax(dim=-1) @ v)
    return linear(state, f'{name}.proj.linear', torch.cat(heads, dim=-1), slice(0, width))


def gelu(x):
    return x * (1 + torch.erf(x / 2**0.5)) / 2


def feed_forward(state, first, second, x, ratio):
    """Two reduced linear layers, ``ratio`` times as wide in between."""
    width = x.shape[-1]
    hidden = gelu(linear(state, f'{first}.linear', x, slice(0, int(width * ratio))))
    return linear(state, f'{second}.linear', hidden, slice(0, width))
