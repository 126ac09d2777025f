"""Freeze the backbone of a segmentor (paper Sec. 4.3, linear head)."""

from collections.abc import Sequence
from typing import Any

import torch
from mmseg.models import EncoderDecoder
from mmseg.registry import MODELS
from torch import Tensor


@MODELS.register_module()
class FrozenEncoderDecoder(EncoderDecoder):
    """mmseg's ``EncoderDecoder`` on a frozen backbone.

    ``frozen_stages`` of the stock backbones is not enough: mmpretrain's ViT, for one, applies drop
    path again after the next ``train()``. Here the whole backbone needs no gradient, so no
    optimiser holds it; it stays in evaluation mode after ``train()``; and it runs without autograd,
    so no activations are kept.

    Args:
        **kwargs: Those of mmseg's ``EncoderDecoder``.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.backbone.requires_grad_(False)
        self.backbone.eval()

    def train(self, mode: bool = True) -> 'FrozenEncoderDecoder':
        """Set the mode of everything but the backbone."""
        super().train(mode)
        self.backbone.eval()
        return self

    def extract_feat(self, inputs: Tensor) -> Sequence[Tensor]:
        """Return the maps of the backbone (B, D, h, w), or of the neck if there is one."""
        with torch.no_grad():
            maps = self.backbone(inputs)
        return self.neck(maps) if self.with_neck else maps
