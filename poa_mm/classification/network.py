"""Describe the network that a checkpoint holds: its stock class, its features, its images."""

import copy
import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from mmpretrain.models.backbones import ResNet, VisionTransformer
from torch import nn

from poa_mm.checkpoints.checkpoint import load_backbone, load_supernet, read_backbone
from poa_mm.checkpoints.preprocessing import (
    Preprocessing,
    imagenet_preprocessing,
    preprocessing_of,
    stored_preprocessing,
)
from poa_mm.checkpoints.safetensors_file import SUFFIX
from poa_mm.checkpoints.subnet_scheme import SCHEME, split_address
from poa_mm.files import BACKBONE_INFO, SUPERNET_INFO, read_file
from poa_mm.models.backbones.elastic_backbone import plain_data
from poa_mm.registry import MODELS, build_model


@dataclass(frozen=True)
class Network:
    """A network to fine-tune.

    Attributes:
        backbone: Config of its stock class.
        neck: Config of what turns its outputs into one feature; None if they are one.
        width: Channels of that feature.
        images: What images it expects.
        notes: What the user should know of them.
    """

    backbone: dict[str, Any]
    neck: dict[str, Any] | None
    width: int
    images: Preprocessing
    notes: list[str] = field(default_factory=list)


def open_network(
    checkpoint: str, img_size: int | None = None, settings: Mapping[str, Any] | None = None
) -> Network:
    """Find out which network a checkpoint holds.

    Args:
        checkpoint: ``subnet://NAME@CHECKPOINT``, a sub-network of a supernet, or a file of
            ``tools/extract_subnet.py``.
        img_size: Side of the images in pixels; by default that of pre-training.
        settings: Arguments of the stock class to set or replace, such as ``drop_path_rate``.

    Raises:
        FileNotFoundError: No such file.
        ValueError: A file that holds no such network, or an unknown sub-network.
    """
    from_supernet = checkpoint.startswith(SCHEME)
    described = _of_subnet if from_supernet else _of_file
    cfg, images, notes = described(checkpoint, img_size)
    stock_class = MODELS.get(cfg['type'])
    if 'img_size' in inspect.signature(stock_class).parameters:
        height, width = images.image_size
        cfg['img_size'] = height if height == width else [height, width]
    cfg |= _outputs(stock_class, cfg)
    cfg |= plain_data(settings or {})
    # Copied, because the stock class counts negative out_indices in the caller's list.
    net = build_model(copy.deepcopy({k: v for k, v in cfg.items() if k != 'init_cfg'}))
    net.eval()
    neck, width = _neck(net, images)
    return Network(cfg, neck, width, images, notes)


def _of_subnet(
    address: str, img_size: int | None
) -> tuple[dict[str, Any], Preprocessing, list[str]]:
    name, path = split_address(address)
    supernet = load_supernet(path)
    subnet = supernet.space.resolve(name)
    config = getattr(supernet, 'run_config', {})
    return supernet.subnet_cfg(subnet), preprocessing_of(supernet, config, img_size), []


def _of_file(path: str, img_size: int | None) -> tuple[dict[str, Any], Preprocessing, list[str]]:
    content = None if Path(path).suffix == SUFFIX else read_file(path)
    if isinstance(content, Mapping) and SUPERNET_INFO in content:
        supernet = load_supernet(path)
        raise ValueError(
            f'{path} holds a supernet: name one of its sub-networks, as in '
            f'{SCHEME}{supernet.space.smallest}@{path} (or smallest, largest; '
            f'{len(supernet.space)} up to {supernet.space.largest})'
        )
    net, cfg = load_backbone(path), plain_data(read_backbone(path)[BACKBONE_INFO])
    images, notes = stored_preprocessing(path), []
    if images is None:
        images = _sized(imagenet_preprocessing(net), cfg.get('img_size'))
        notes = [f'{path} does not say what images it expects; taken are {images}']
    return cfg, _sized(images, img_size), notes


def _sized(images: Preprocessing, size: int | Sequence[int] | None) -> Preprocessing:
    if size is None:
        return images
    height, width = (size, size) if isinstance(size, int) else size
    return replace(images, image_size=(height, width))


def _outputs(stock_class: type[nn.Module], cfg: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a stock class for the outputs that a classifier takes (Sec. D.2)."""
    if issubclass(stock_class, VisionTransformer):
        with_class = cfg.get('with_cls_token', True)
        return {'out_indices': [-1], 'out_type': 'cls_token' if with_class else 'avg_featmap'}
    return {'out_indices': [1, 2, 3]} if issubclass(stock_class, ResNet) else {}


@torch.no_grad()
def _neck(net: nn.Module, images: Preprocessing) -> tuple[dict[str, Any] | None, int]:
    """Return the config of the neck for the outputs of a backbone, and the width of the feature."""
    outs = net(torch.zeros(1, images.channels, *images.image_size))
    if outs[-1].ndim == 2:
        return None, outs[-1].shape[1]
    if outs[-1].ndim == 4 and len(outs) == 1:
        return {'type': 'GlobalAveragePooling'}, outs[-1].shape[1]
    neck = {'type': 'ProbeFeatures'}  # the means of several maps, side by side
    return neck, build_model(dict(neck))(outs)[0].shape[1]
