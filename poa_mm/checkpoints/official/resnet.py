"""ResNets of the authors' code: bottlenecks with an elastic middle, GroupNorm throughout."""

import itertools
from typing import Any

from poa_mm.checkpoints.official.settings import Settings
from poa_mm.checkpoints.official.tables import (
    Family,
    Key,
    State,
    count,
    elastic_widths,
    shape_of,
)

STAGES = 4
KEYS = (
    Key('backbone.mask_token', 'backbone.mask_token'),
    Key('backbone.conv1.weight', 'backbone.conv1.weight'),
    Key('backbone.norm1.*', 'backbone.gn1.*'),
    Key('backbone.layer#.layers.#.conv#.conv.weight', 'backbone.layer#.#.conv#.weight'),
    Key('backbone.layer#.layers.#.norm#.*', 'backbone.layer#.#.gn#.*'),
    Key('backbone.layer#.layers.#.downsample.0.weight', 'backbone.layer#.#.downsample.0.weight'),
    Key('backbone.layer#.layers.#.downsample.1.*', 'backbone.layer#.#.downsample.1.*'),
)


def backbone_config(state: State, settings: Settings) -> dict[str, Any]:
    """Derive the config of the elastic ResNet that the weights of a branch fit.

    Raises:
        ValueError: Weights that are missing or make no sense, or settings that do not fit.
    """
    stem, channels, _, _ = shape_of(state, 'backbone.conv1.weight', 4)
    first = 'backbone.layer1.layers.0'
    mid = shape_of(state, f'{first}.conv1.conv.weight', 4)[0]
    out = shape_of(state, f'{first}.conv3.conv.weight', 4)[0]
    groups = settings['num_groups']
    if groups < 1 or any(width % groups for width in (stem, mid, out)):
        raise ValueError(f'num_groups must divide the widths {stem}, {mid} and {out}, got {groups}')
    blocks = tuple(count(state, f'backbone.layer{stage + 1}.layers.') for stage in range(STAGES))
    return {
        'type': 'ElasticResNet',
        'arch': {'stage_blocks': list(blocks), 'mid_channels': mid, 'out_channels': out},
        'stem_channels': stem,
        'in_channels': channels,
        'norm_cfg': {'type': 'GN', 'num_groups': groups},
        'widths': elastic_widths(mid, settings, 'num_groups', groups),
        'depths': _depths(blocks, settings),
        'gamma': settings['gamma'],
        'weighted': ['depth'],
    }


def _depths(blocks: tuple[int, ...], settings: Settings) -> list[list[int]]:
    """List the numbers of blocks of each stage, in all combinations."""
    smallest, interval = settings['min_depth'], settings['depth_interval']
    if (
        not isinstance(smallest, tuple)
        or len(smallest) != STAGES
        or not all(1 <= least <= most for least, most in zip(smallest, blocks, strict=True))
    ):
        raise ValueError(
            f'min_depth must be {STAGES} numbers within {(1,) * STAGES}…{blocks}, the intact '
            f'depth, got {smallest}'
        )
    if interval < 1:
        raise ValueError(f'depth_interval must be positive, got {interval}')
    ranges = (range(a, b + 1, interval) for a, b in zip(smallest, blocks, strict=True))
    return [list(depth) for depth in itertools.product(*ranges)]


RESNET = Family('ResNet', 'backbone.layer', KEYS, backbone_config)
