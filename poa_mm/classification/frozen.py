"""Freeze the backbone of a classifier (paper Sec. 4.2, linear probing)."""

from typing import Any

import torch
from mmpretrain.models import ImageClassifier
from torch import Tensor

from poa_mm.registry import MODELS


@MODELS.register_module()
class FrozenImageClassifier(ImageClassifier):
    """mmpretrain's ``ImageClassifier`` on a frozen backbone.

    ``frozen_stages`` of the stock backbones differs from one to the other, and the next ``train()``
    undoes their evaluation mode. Here the whole backbone needs no gradient, so no optimiser holds
    it; it stays in evaluation mode after ``train()``; and it runs without autograd, so no
    activations are kept. Neck and head train.

    Args:
        *args: Those of mmpretrain's ``ImageClassifier``, as are ``kwargs``.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.backbone.requires_grad_(False)
        self.backbone.eval()

    def train(self, mode: bool = True) -> 'FrozenImageClassifier':
        """Set the mode of everything but the backbone."""
        super().train(mode)
        self.backbone.eval()
        return self

    def extract_feat(self, inputs: Tensor, stage: str = 'neck') -> Any:
        """Return the features of a stage, as mmpretrain's class does.

        Args:
            inputs: Images, (B, C, H, W).
            stage: ``'backbone'``, ``'neck'`` or ``'pre_logits'``.
        """
        with torch.no_grad():
            features = super().extract_feat(inputs, stage='backbone')
        if stage == 'backbone':
            return features
        if self.with_neck:
            features = self.neck(features)
        return features if stage == 'neck' else self.head.pre_logits(features)
