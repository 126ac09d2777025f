"""The check of an elastic ResNet's arguments."""

from collections.abc import Mapping
from typing import Any

from poa_mm.models.backbones.feature_maps import check_stages
from poa_mm.models.backbones.options import (
    Check,
    anything,
    check_options,
    norm,
    one_of,
    positive_list,
    rate,
    unset,
    whole,
)

STEM_CHANNELS = 64  # mmpretrain's default
# Arguments of mmpretrain's class that have no elastic form, that may have any value, and that
# ``arch`` replaces in an elastic ResNet.
FIXED = ('deep_stem', 'avg_down', 'conv_cfg')
UNCHECKED = ('init_cfg', 'norm_eval', 'zero_init_residual')
REPLACED = ('depth', 'base_channels', 'expansion')


def check_resnet(arch: Mapping[str, Any], options: Mapping[str, Any]) -> None:
    """Check the arguments of mmpretrain's ``ResNet`` for an elastic one.

    Args:
        arch: Sizes of the intact network, which
            :class:`~poa_mm.models.backbones.BottleneckResNet` checks.
        options: The other arguments.

    Raises:
        TypeError: An unknown argument.
        ValueError: A value that is invalid for the class or its elastic form.
    """
    stages = len(arch['stage_blocks'])
    checks: dict[str, Check] = {
        **dict.fromkeys(UNCHECKED, anything),
        **dict.fromkeys(FIXED, unset),
        **dict.fromkeys(REPLACED, anything),  # BottleneckResNet refuses them and says why
        'in_channels': whole(1),
        'stem_channels': whole(1),
        'num_stages': one_of(stages),
        'strides': lambda name, value: positive_list(name, value, stages),
        'dilations': one_of((1,) * stages, [1] * stages),
        'style': one_of('pytorch', 'caffe'),
        'drop_path_rate': rate,
        'frozen_stages': whole(-1, stages),
        'norm_cfg': norm('GN'),
        'out_indices': lambda _, value: check_stages(value, stages),
    }
    check_options('ElasticResNet', options, checks)
    groups = options['norm_cfg'].get('num_groups')
    channels = {
        'stem_channels': options.get('stem_channels', STEM_CHANNELS),
        'mid_channels': arch['mid_channels'],
        'out_channels': arch['out_channels'],
    }
    for name, number in {'norm_cfg: num_groups': groups, **channels}.items():
        whole(1)(name, number)
    wrong = [f'{name} {number}' for name, number in channels.items() if number % groups]
    if wrong:
        raise ValueError(
            f'norm_cfg: num_groups must divide all channels, got {groups} for {", ".join(wrong)}'
        )
