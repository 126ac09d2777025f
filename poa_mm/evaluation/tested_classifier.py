"""The accuracy of a fine-tuned classifier, in the format of all results."""

from collections.abc import Mapping
from os import PathLike
from typing import Any

from mmengine.config import Config

from poa_mm.elastic import Subnet
from poa_mm.evaluation.results import JSON, Result, data_name, data_sha256, file_sha256, versions
from poa_mm.models.backbones.resnet import RESNET_SIZES
from poa_mm.models.backbones.swin import SWIN_SIZES
from poa_mm.models.backbones.vit import VIT_SIZES

__all__ = ['accuracy_results']

METRIC = 'accuracy/'
SIZES = {**VIT_SIZES, **SWIN_SIZES, **RESNET_SIZES}


def accuracy_results(
    cfg: Config,
    checkpoint: str | PathLike,
    metrics: Mapping[str, float],
    dataset: Any,
    seconds: float | None,
) -> list[Result]:
    """Make results of what a test has measured, if its config says what for.

    A config with ``results=dict(protocol='finetune')`` does, and so its accuracy finds its place in
    the paper's tables. ``results`` may also have ``data``, the name of the data set there, and
    ``settings``, which tell columns of one table apart.

    Args:
        cfg: Config of the test.
        checkpoint: The classifier.
        metrics: What the test returned.
        dataset: The test images.
        seconds: What it took.

    Returns:
        One for each accuracy, none without ``results``.
    """
    about = cfg.get('results')
    accuracies = {name: value for name, value in metrics.items() if name.startswith(METRIC)}
    if not about or not accuracies:
        return []
    network, name = _network(cfg.model.backbone)
    return [
        Result(
            protocol=about['protocol'],
            metric=key.removeprefix(METRIC),
            value=float(value),
            network=network,
            name=name,
            source=str(checkpoint),
            source_sha256='' if '://' in str(checkpoint) else file_sha256(checkpoint),
            data=about.get('data') or data_name(dataset),
            data_sha256=data_sha256(dataset),
            settings={**_settings(cfg), **about.get('settings', {})},
            seconds=seconds,
            versions=versions(('torch', 'mmpretrain', 'onedl-mmpretrain')),
        )
        for key, value in accuracies.items()
    ]


def _network(backbone: Mapping[str, Any]) -> tuple[str, str]:
    """Name a stock backbone as the sub-network that it is, and by its well-known name."""
    arch = backbone.get('arch')
    if isinstance(arch, Mapping) and 'num_layers' in arch:
        subnet = Subnet(arch['embed_dims'], arch['num_layers'])
    elif isinstance(arch, Mapping):
        subnet = Subnet(arch['embed_dims'], sum(arch['depths']))
    elif 'stage_blocks' in backbone:
        subnet = Subnet(backbone['mid_channels'], tuple(backbone['stage_blocks']))
    else:
        name = f'resnet-{backbone.get("depth")}'
        if name not in SIZES:
            return str(arch or backbone['type']), ''
        subnet = SIZES[name]
    return str(subnet), next((name for name, size in SIZES.items() if size == subnet), '')


def _settings(cfg: Config) -> dict[str, JSON]:
    """Tell runs apart: their length, who taught them, and whether they are the authors'."""
    train = cfg.get('train_cfg') or {}
    length = {key: train[key] for key in ('max_epochs', 'max_iters') if train.get(key)}
    return {
        **length,
        'official': bool(cfg.get('official', False)),
        'teacher': cfg.model.get('teacher'),
    }
