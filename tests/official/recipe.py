"""How the authors' code starts, decays and schedules, by the names of its parameters."""

import math

STEMS = {
    'vit': ('cls_token', 'pos_embed', 'mask_token', 'patch_embed'),
    'swin': ('mask_token', 'patch_embed'),
    'resnet': ('mask_token', 'conv1', 'norm1'),
}


def start(name, shape, fan_in, family):
    """Mean and standard deviation that a parameter starts with.

    Args:
        name: In their checkpoint.
        shape: Of the parameter.
        fan_in: Inputs of the layer that it belongs to.
        family: ``'vit'``, ``'swin'`` or ``'resnet'``.
    """
    layer, kind = name.split('.')[1:], name.rsplit('.', 1)[-1]
    if kind == 'weight_g':
        return 1, 0
    if kind == 'gamma':
        return 1e-5, 0
    if 'norm' in name or '.downsample.1.' in name:
        return (1 if kind == 'weight' else 0), 0
    if family == 'vit' and layer in (['pos_embed'], ['cls_token']):
        return 0, 0.02 if layer == ['pos_embed'] else 1e-6
    if kind in ('mask_token', 'relative_position_bias_table'):
        return 0, 0
    as_torch = 1 / math.sqrt(3 * fan_in)  # uniform within ±1/√fan_in
    if kind == 'weight_v':
        return 0, as_torch
    is_linear = len(shape) == 2 if kind == 'weight' else 'patch_embed' not in name
    if name.startswith('dino_head') or (family == 'vit' and is_linear):
        return 0, 0.02 if kind == 'weight' else 0
    return 0, as_torch


def decays(name):
    """Whether weight decay reaches a parameter."""
    return not (name.endswith('.bias') or 'norm' in name or 'gamma' in name)


def rate(name, family, depths, layer_decay, patch_embed):
    """Factor on the learning rate of a parameter.

    Args:
        name: In their checkpoint.
        family: ``'vit'``, ``'swin'`` or ``'resnet'``.
        depths: Blocks of each stage; a ViT has one.
        layer_decay: From one block to the one below.
        patch_embed: Further factor on the patch embedding.
    """
    parts = name.removeprefix('backbone.').split('.')
    top = sum(depths) + (family != 'resnet')  # a ResNet ends with its last block
    level = top
    if name.startswith('dino_head'):
        return 1.0
    if parts[0] in STEMS[family]:
        level = 0
    elif family == 'vit' and parts[0] == 'blocks':
        level = int(parts[1]) + 1
    elif family == 'swin' and parts[0] == 'stages':
        stage = int(parts[1])
        before = sum(depths[:stage])
        merging = parts[2] == 'downsample'
        level = before + (depths[stage] if merging else int(parts[3])) + 1
    elif family == 'resnet':
        stage = int(parts[0].removeprefix('layer')) - 1
        level = sum(depths[:stage]) + int(parts[2]) + 1
    return layer_decay ** (top - level) * (patch_embed if parts[0] == 'patch_embed' else 1)


def stretched_cosine(i, first, last, iterations, part=1.0, warmup=0):
    """What a schedule gives at iteration ``i``, in float64.

    A line from 0 to ``first`` over ``warmup`` iterations, its last one included, then a cosine to
    ``last``. Warm-up and cosine together are ``iterations / part`` iterations long, rounded down,
    of which the first ``iterations`` are run.
    """
    if i < warmup:
        return first * i / (warmup - 1)
    length = int(iterations / part) - warmup
    return last + (first - last) / 2 * (1 + math.cos(math.pi * (i - warmup) / length))


def temperature(i, warmup):
    """The teacher's: a line from 0.04 to 0.07, which the last iteration of the warm-up has."""
    return 0.04 + 0.03 * i / (warmup - 1) if i < warmup else 0.07
