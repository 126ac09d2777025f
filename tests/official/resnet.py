"""ResNets of the authors' code."""

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F

from official.parts import backbone_of, head_shapes, random_state

EPS = 1e-5


class Dims(NamedTuple):
    """Of a ResNet and its heads; the defaults are tiny."""

    stem: int = 8
    mid: int = 16
    out: int = 32
    blocks: tuple[int, ...] = (1, 3, 4, 1)
    groups: int = 4
    hidden: int = 20
    bottleneck: int = 6
    prototypes: tuple[int, ...] = (7, 11)


TINY = Dims()


def shapes(dims=TINY):
    """Names and shapes of one branch of an official checkpoint."""
    found = {
        'mask_token': (1, dims.stem, 1, 1),
        'conv1.weight': (dims.stem, 3, 7, 7),
        **norm_shapes('norm1', dims.stem),
    }
    inputs = dims.stem
    for stage, blocks in enumerate(dims.blocks):
        mid, out = dims.mid * 2**stage, dims.out * 2**stage
        for block in range(blocks):
            name = f'layer{stage + 1}.layers.{block}'
            found[f'{name}.conv1.conv.weight'] = (mid, inputs, 1, 1)
            found[f'{name}.conv2.conv.weight'] = (mid, mid, 3, 3)
            found[f'{name}.conv3.conv.weight'] = (out, mid, 1, 1)
            for number, width in enumerate((mid, mid, out), start=1):
                found.update(norm_shapes(f'{name}.norm{number}', width))
            if block == 0:
                found[f'{name}.downsample.0.weight'] = (out, inputs, 1, 1)
                found.update(norm_shapes(f'{name}.downsample.1', out))
            inputs = out
    backbone = {f'backbone.{name}': shape for name, shape in found.items()}
    return {**backbone, **head_shapes(inputs, dims)}


def norm_shapes(name, width):
    return {f'{name}.weight': (width,), f'{name}.bias': (width,)}


def state(seed=0, dims=TINY):
    """One branch with random weights."""
    return random_state(shapes(dims), seed)


def stage_maps(state, images, width, depth, dims=TINY, masks=None):
    """Maps (B, C, h, w) of all stages, for a sub-network.

    Args:
        state: One branch, with the dtype of ``images``.
        images: (B, 3, H, W).
        width: Middle width of the sub-network's first stage.
        depth: Blocks of each stage of the sub-network.
        dims: Of the intact network.
        masks: Patches that the mask token replaces, (B, rows, columns) bool.
    """
    weights = backbone_of(state)
    x = F.conv2d(images, weights['conv1.weight'], stride=2, padding=3)
    x = F.max_pool2d(group_norm(weights, 'norm1', x, dims).relu(), 3, stride=2, padding=1)
    if masks is not None:
        fine = torch.from_numpy(np.kron(masks.numpy(), np.ones((4, 4), dtype=bool)))
        x = torch.where(fine[:, None], weights['mask_token'], x)
    maps = []
    for stage, (blocks, kept) in enumerate(zip(dims.blocks, depth, strict=True)):
        for block in np.linspace(0, blocks - 1, kept).astype(int):
            stride = 2 if stage and not block else 1
            name = f'layer{stage + 1}.layers.{block}'
            x = bottleneck(weights, name, x, width * 2**stage, stride, dims)
        maps.append(x)
    return maps


def bottleneck(weights, name, x, mid, stride, dims):
    out = conv(weights, f'{name}.conv1.conv', x, mid)
    out = group_norm(weights, f'{name}.norm1', out, dims).relu()
    out = conv(weights, f'{name}.conv2.conv', out, mid, stride=stride, padding=1)
    out = group_norm(weights, f'{name}.norm2', out, dims).relu()
    out = conv(weights, f'{name}.conv3.conv', out, None)
    out = group_norm(weights, f'{name}.norm3', out, dims)
    if f'{name}.downsample.0.weight' in weights:
        x = F.conv2d(x, weights[f'{name}.downsample.0.weight'], stride=stride)
        x = group_norm(weights, f'{name}.downsample.1', x, dims)
    return (x + out).relu()


def conv(weights, name, x, outputs, **kwargs):
    """A reduced convolution: a corner of the intact weight, and an input scaled by α."""
    weight = weights[f'{name}.weight']
    alpha = weight.shape[1] / x.shape[1]
    return F.conv2d(x * alpha, weight[:outputs, : x.shape[1]], **kwargs)


def group_norm(weights, name, x, dims):
    """As many groups at every width."""
    grouped = x.unflatten(1, (dims.groups, -1))
    mean = grouped.mean(dim=(2, 3, 4), keepdim=True)
    variance = (grouped - mean).square().mean(dim=(2, 3, 4), keepdim=True)
    normal = ((grouped - mean) / (variance + EPS).sqrt()).flatten(1, 2)
    weight, bias = (weights[f'{name}.{kind}'][: x.shape[1]] for kind in ('weight', 'bias'))
    return normal * weight[:, None, None] + bias[:, None, None]


def tokens(state, images, width, depth, dims=TINY, masks=None):
    """Class token (B, D) and patch tokens (B, 2h, 2w, D), nearest neighbour."""
    last = stage_maps(state, images, width, depth, dims, masks)[-1].permute(0, 2, 3, 1)
    return last.mean(dim=(1, 2)), last.repeat_interleave(2, dim=1).repeat_interleave(2, dim=2)
