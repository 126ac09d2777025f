"""The losses of a segmentor tried on labels of all classes, before a run finds out."""

import copy
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from poa_mm.segmentation.label_settings import heads_of

SIDE = 64  # of the map that is tried, which has all classes of most data sets


def try_losses(segmentor: nn.Module) -> list[str]:
    """Have all heads compute their losses once.

    That is done on the CPU, where an error ends nothing else, and on the GPU of the model only
    where the CPU fails: some losses have a code for each. Heads that compute their loss in a way of
    their own are left alone.

    Args:
        segmentor: With heads of mmseg.

    Returns:
        What deserves a warning where masks have ignored pixels: a sentence each.

    Raises:
        ValueError: A loss that cannot be computed, is not finite, or does not depend on the only
            channel of its head; names head and loss.
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


def _try(kind: str, head: Any, loss: nn.Module) -> list[str]:
    try:
        return list(_look_at(kind, head, copy.deepcopy(loss).cpu(), torch.device('cpu')))
    except ValueError:
        device = next(head.parameters()).device
        if device.type == 'cpu':
            raise
        return list(_look_at(kind, head, copy.deepcopy(loss), device))


def _look_at(kind: str, head: Any, loss: nn.Module, device: torch.device) -> Iterator[str]:
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
        yield f'{kind} fails in a batch of ignored pixels alone'


def _survives_nothing(loss: nn.Module, head: Any, labels: Tensor) -> bool:
    """Whether a loss can be computed where all pixels are ignored."""
    try:
        value, _ = _compute(loss, head, torch.full_like(labels, head.ignore_index), '')
    except ValueError:
        return False
    return bool(value.isfinite())


def _compute(loss: nn.Module, head: Any, labels: Tensor, kind: str) -> tuple[Tensor, Tensor]:
    """The mean loss of some logits, and how much it depends on those of each pixel (1, H, W)."""
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
