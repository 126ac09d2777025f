"""A segmentor whose backbone stays as it was pre-trained (paper Sec. 4.3, linear head)."""

from collections.abc import Sequence
from typing import Any

import torch
from mmseg.models import EncoderDecoder
from mmseg.registry import MODELS
from torch import Tensor


@MODELS.register_module()
class FrozenEncoderDecoder(EncoderDecoder):
    """mmseg's ``EncoderDecoder`` on a backbone that is really frozen.

    ``frozen_stages`` of the stock backbones does not do it: mmpretrain's ViT, for one, goes back to
    dropping paths with the next ``train()``. Here the whole backbone needs no gradient, so that no
    optimiser holds it, stays in evaluation mode whatever ``train()`` says, and runs without
    autograd, so that none of its activations are kept.

    Args:
        **kwargs: Those of mmseg's ``EncoderDecoder``.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.backbone.requires_grad_(False)
        self.backbone.eval()

    def train(self, mode: bool = True) -> 'FrozenEncoderDecoder':
        """Set the mode of all but the backbone."""
        super().train(mode)
        self.backbone.eval()
        return self

    def extract_feat(self, inputs: Tensor) -> Sequence[Tensor]:
        """Maps of the backbone (B, D, h, w), through the neck if there is one."""
        with torch.no_grad():
            maps = self.backbone(inputs)
        return self.neck(maps) if self.with_neck else maps
