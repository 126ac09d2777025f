"""Check that the crops of a pre-training run, its batch and its network belong together."""

import logging
from collections.abc import Iterator
from typing import Any

import torch
from mmengine.logging import print_log
from mmpretrain.models.backbones import VisionTransformer

from poa_mm.datasets.transforms import MultiCrop
from poa_mm.models.backbones.elastic_backbone import ElasticBackbone
from poa_mm.models.backbones.supernet_layers import image_channels
from poa_mm.models.backbones.vit_layers import ElasticPatchEmbed
from poa_mm.models.losses import check_koleo_batch
from poa_mm.models.selfsup import SelfDistillation


def check_views(model: SelfDistillation, dataloader: Any) -> None:
    """Check crops, channels and batch: the first step would fail with them, or none notice.

    Args:
        model: On the device that it trains on.
        dataloader: Loads what it trains on. Crops are checked where a
            :class:`~poa_mm.datasets.MultiCrop` makes them.

    Raises:
        ValueError: No local crops; crops of a size that the network cannot take, or whose rim it
            does not see; crops, normalisation and network that differ in the number of channels; a
            batch too small for KoLeo.
    """
    if model.koleo_weight:
        check_koleo_batch(dataloader.batch_size)
    _compare_batch(dataloader.dataset, dataloader.batch_size)
    for crop in _multi_crops(dataloader.dataset):
        if crop.num_local < 1:
            raise ValueError(
                'MultiCrop has num_local=0, but POA learns from at least one local crop (Eq. 8, 9)'
            )
        _check_channels(model, crop.channels)
        for name in ('global_size', 'local_size'):
            _check_size(model.teacher.backbone, name, getattr(crop, name))
        _compare_trained_size(model.backbone, crop.global_size)


def _compare_batch(dataset: Any, batch_size: int) -> None:
    if len(dataset) < batch_size:
        print_log(
            f'batch_size={batch_size}, but the data set has {len(dataset)} images: every batch '
            'holds some of them several times',
            logger='current',
            level=logging.WARNING,
        )


def _check_channels(model: SelfDistillation, channels: int) -> None:
    """Compare the channels of the crops with those of the network and of its normalisation."""
    taken = image_channels(model.teacher.backbone)
    if channels != taken:
        raise ValueError(
            f'MultiCrop makes crops of {channels} channels, the backbone takes images of {taken}: '
            f'set channels={taken} of MultiCrop, or in_channels={channels} of the backbone'
        )
    for name in ('mean', 'std'):
        values = getattr(model.data_preprocessor, name, None)
        if values is not None and values.numel() != channels:
            raise ValueError(
                f'data_preprocessor.{name} has {values.numel()} values, but crops have {channels} '
                'channels: give one value for each'
            )


def _multi_crops(dataset: Any) -> Iterator[MultiCrop]:
    """Yield the transforms that cut crops, within whatever repeats or joins data sets."""
    inner = getattr(dataset, 'datasets', None) or getattr(dataset, 'dataset', None)
    for part in inner if isinstance(inner, list | tuple) else [inner]:
        if part is not None:
            yield from _multi_crops(part)
    for transform in getattr(getattr(dataset, 'pipeline', None), 'transforms', ()):
        if isinstance(transform, MultiCrop):
            yield transform


@torch.no_grad()
def _check_size(teacher: ElasticBackbone, name: str, size: tuple[int, int]) -> None:
    """Show an image of that size to a sub-network of the teacher, which draws no random numbers."""
    if isinstance(teacher, VisionTransformer):
        _check_rim(teacher.patch_embed, name, size)
    parameter = next(teacher.parameters())
    image = parameter.new_zeros(1, image_channels(teacher), *size)
    try:
        teacher.tokens(image, teacher.space.smallest)
    except (AssertionError, RuntimeError, ValueError) as error:
        raise ValueError(
            f'the network cannot take the crops of MultiCrop with {name}={_shown(size)}: {error}'
        ) from error


def _check_rim(embedding: ElasticPatchEmbed, name: str, size: tuple[int, int]) -> None:
    patches = embedding.projection
    loss = 'not see the rim' if embedding.adaptive_padding is None else 'see zeros beyond the rim'
    for length, side, step, padding in zip(
        size, patches.kernel_size, patches.stride, patches.padding, strict=True
    ):
        over = (length + 2 * padding - side) % step
        if over or length < side:
            near = [fit for fit in (length - over, length - over + step) if fit >= side] or [side]
            raise ValueError(
                f'MultiCrop has {name}={_shown(size)}, which patches of {side} pixels do not '
                f'cover: the network would {loss}; take {" or ".join(map(str, near))} for {length}'
            )


def _compare_trained_size(backbone: ElasticBackbone, size: tuple[int, int]) -> None:
    trained = getattr(backbone, 'img_size', None)
    sides = (trained, trained) if isinstance(trained, int) else trained
    if sides is not None and tuple(sides) != size:
        print_log(
            f'the backbone has img_size={_shown(tuple(sides))}, its global crops {_shown(size)}: '
            'position embeddings are resized in every step',
            logger='current',
            level=logging.WARNING,
        )


def _shown(size: tuple[int, int]) -> str:
    """Write a size as in a config."""
    return str(size[0] if size[0] == size[1] else size)
