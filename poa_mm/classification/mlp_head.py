"""Classify by an MLP, which may start as a projection head does."""

from collections.abc import Sequence
from typing import Any

import torch
from mmpretrain.models.heads import StackedLinearClsHead

from poa_mm.checkpoints.projection import load_projection
from poa_mm.registry import MODELS


@MODELS.register_module()
class MLPClsHead(StackedLinearClsHead):
    """Hidden linear layers with GELU, then a linear classifier (Sec. D.3).

    As in SimCLRv2, the hidden layers may be those with which a projection head of the pre-training
    begins. They are loaded when training starts; a test needs no such file.

    Args:
        num_classes: Number of classes.
        in_channels: Channels of the features.
        mid_channels: Channels of the hidden layers; 2048 in those of POA.
        projection: Checkpoint to take the hidden layers from, by its path or as the backbone names
            it, ``subnet://vit-s@CHECKPOINT``; ``None`` for random ones.
        projection_head: Which of its projection heads, from 0.
        **kwargs: Other arguments of mmpretrain's ``StackedLinearClsHead``.

    Raises:
        FileNotFoundError: When training starts: no such checkpoint.
        ValueError: Likewise: no projection heads in it, or of other sizes.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        mid_channels: Sequence[int] = (2048,),
        projection: str | None = None,
        projection_head: int = 0,
        **kwargs: Any,
    ) -> None:
        kwargs = {
            'act_cfg': {'type': 'GELU'},
            'init_cfg': {'type': 'TruncNormal', 'layer': 'Linear', 'std': 0.02},
            **kwargs,
        }
        super().__init__(num_classes, in_channels, mid_channels=list(mid_channels), **kwargs)
        self.projection = projection
        self.projection_head = projection_head

    def init_weights(self) -> None:
        """Initialise all layers, then load the hidden ones, if they are to come from a file."""
        super().init_weights()
        if self.projection is None:
            return
        number = len(self.mid_channels)
        loaded = load_projection(self.projection, self.in_channels, number, self.projection_head)
        sizes = [len(layer['bias']) for layer in loaded]
        if sizes != list(self.mid_channels):
            raise ValueError(
                f'{self.projection} has hidden layers of {sizes} channels: set '
                f'model.head.mid_channels, which is {self.mid_channels}'
            )
        with torch.no_grad():
            for block, layer in zip(self.layers, loaded, strict=False):
                block.fc.weight.copy_(layer['weight'])
                block.fc.bias.copy_(layer['bias'])
