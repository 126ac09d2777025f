"""Compute the losses of a segmentor once before a run, on labels of all classes."""

import copy
from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from poa_mm.segmentation.label_settings import heads_of

if TYPE_CHECKING:
    from mmseg.models.decode_heads.decode_head import BaseDecodeHead

SIDE = 64  # of the map of labels, enough for all classes of most data sets


def try_losses(segmentor: nn.Module) -> list[str]:
    """Compute the losses of all heads once.

    They are computed on the CPU, where an error does no harm, and on the GPU of the model only if
    that fails: some losses support only one of them. Heads with a ``loss_by_feat`` of their own are
    not tried.

    Args:
        segmentor: A segmentor with heads of mmseg.

    Returns:
        Warnings that apply if masks have ignored pixels, a sentence each.

    Raises:
        ValueError: A loss cannot be computed, is not finite, or does not depend on the only channel
            of its head; the message names head and loss.
    """
    from mmseg.models.decode_heads.decode_head import BaseDecodeHead  # mmseg is optional

    stock = BaseDecodeHead.loss_by_feat
    notes = []
    for name, head in heads_of(segmentor).items():
        if getattr(type(head), 'loss_by_feat', None) is stock:
            losses = head.loss_decode
            for loss in losses if isinstance(losses, nn.ModuleList) else [losses]:
                notes += _try(f'{type(loss).__name__} of {name}', head, loss)
    return list(dict.fromkeys(notes))


def _try(kind: str, head: 'BaseDecodeHead', loss: nn.Module) -> list[str]:
    try:
        return list(_look_at(kind, head, copy.deepcopy(loss).cpu(), torch.device('cpu')))
    except ValueError:
        device = next(head.parameters()).device
        if device.type == 'cpu':
            raise
        return list(_look_at(kind, head, copy.deepcopy(loss), device))


def _look_at(
    kind: str, head: 'BaseDecodeHead', loss: nn.Module, device: torch.device
) -> Iterator[str]:
    """Compute a loss on labels of all classes and on ignored ones."""
    labels = torch.arange(SIDE**2, device=device).remainder(head.num_classes).view(1, SIDE, SIDE)
    if head.ignore_index is not None:
        labels[:, -SIDE // 4 :] = head.ignore_index
    ignored = labels == (-1 if head.ignore_index is None else head.ignore_index)
    value, slope = _compute(loss, head, labels, kind)
    if not value.isfinite():
        raise ValueError(f'{kind} is {value.item()} on labels of all classes')
    if head.out_channels == 1 and not slope[~ignored].any():
        raise ValueError(
            f'{kind} does not depend on the only channel of its head: out_channels=1 needs '
            'use_sigmoid=True'
        )
    if slope[ignored].any():
        yield f'{kind} learns from ignored pixels, too, as from pixels of no class'
    if head.ignore_index is not None and not _survives_nothing(loss, head, labels):
        yield f'{kind} fails in a batch of only ignored pixels'


def _survives_nothing(loss: nn.Module, head: 'BaseDecodeHead', labels: Tensor) -> bool:
    """Return whether a loss can be computed if all pixels are ignored."""
    try:
        value, _ = _compute(loss, head, torch.full_like(labels, head.ignore_index), '')
    except ValueError:
        return False
    return bool(value.isfinite())


def _compute(
    loss: nn.Module, head: 'BaseDecodeHead', labels: Tensor, kind: str
) -> tuple[Tensor, Tensor]:
    """Return the mean loss of random logits, and its gradient by pixel (1, H, W)."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(1, head.out_channels, SIDE, SIDE, generator=generator)
    logits = logits.to(labels.device).requires_grad_()
    try:
        value = loss(logits, labels, weight=None, ignore_index=head.ignore_index).mean()
        (slope,) = torch.autograd.grad(value, logits)
    except Exception as error:  # as many kinds as there are losses
        hint = ' (one channel needs use_sigmoid=True)' if head.out_channels == 1 else ''
        raise ValueError(
            f'{kind} cannot be computed for num_classes={head.num_classes}, '
            f'out_channels={head.out_channels} and ignore_index={head.ignore_index}: {error}{hint}'
        ) from error
    return value.detach(), slope.abs().sum(dim=1)
