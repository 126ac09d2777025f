"""Hold the settings that the tensors of the authors' checkpoints do not show, without torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Settings = Mapping[str, Any]

# The settings that a family takes, with the values of the authors' config.
DEFAULTS: Mapping[str, Settings] = {
    'ViT': {
        'head_dim': 64,
        'min_width': 384,
        'min_depth': 12,
        'width_interval': None,
        'depth_interval': 1,
        'gamma': 3.0,
    },
    'Swin': {
        'min_width': 96,
        'min_depth': 12,
        'width_interval': None,
        'depth_interval': 1,
        'gamma': 2.0,
    },
    'ResNet': {
        'num_groups': 32,
        'min_width': 64,
        'min_depth': (3, 4, 6, 3),
        'width_interval': None,
        'depth_interval': 1,
        'gamma': 2.0,
    },
}


@dataclass(frozen=True)
class OfficialSettings:
    """Settings that the tensors do not show; ``None`` stands for the value of the authors' config.

    Args:
        head_dim: Channels of one attention head (ViT; the tensors of a Swin tell it).
        num_groups: Groups of the GroupNorms (ResNet).
        min_width: Smallest elastic width.
        min_depth: Smallest elastic depth, over all stages (Swin), or of each stage (ResNet).
        width_interval: Step of the elastic widths in channels, from the smallest one up. Defaults
            to the channels of a head, or the number of groups.
        depth_interval: Step of the elastic depths.
        gamma: γ of the sampling weights (Eq. 14).
    """

    head_dim: int | None = None
    num_groups: int | None = None
    min_width: int | None = None
    min_depth: int | tuple[int, ...] | None = None
    width_interval: int | None = None
    depth_interval: int | None = None
    gamma: float | None = None
