"""Features of a linear probe, from the outputs of mmpretrain's stock backbones."""

from collections.abc import Sequence
from typing import Any

import torch
from mmcv.cnn import build_norm_layer
from mmengine.model import BaseModule
from torch import Tensor, nn

from poa_mm.models.backbones.feature_maps import finer_tokens
from poa_mm.registry import MODELS


@MODELS.register_module()
class ProbeFeatures(BaseModule):
    """Joins the outputs of a stock backbone into the feature that a linear head takes.

    Of tokens it takes the class token, of maps the mean. mmpretrain's ViT normalises the output of
    its last block alone; the others are normalised here, by a norm with the same weights.

    Args:
        mean: Append the mean of the last output's patch tokens.
        prefix: Number of tokens before those of the patches.
        norm_cfg: Norm of all tokens but the last ones, or None.
        channels: What it normalises.
        grid: Rows and columns of the patch tokens of a map, which has them at twice its
            resolution; None for a map that is taken as it is.
    """

    def __init__(
        self,
        mean: bool = False,
        prefix: int = 1,
        norm_cfg: dict[str, Any] | None = None,
        channels: int | None = None,
        grid: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        self.mean = mean
        self.prefix = prefix
        self.grid = None if grid is None else (grid[0], grid[1])
        self.norm: nn.Module | None = None
        if norm_cfg is not None:
            self.norm = build_norm_layer(dict(norm_cfg), channels)[1]

    def forward(self, outs: tuple[Tensor, ...]) -> tuple[Tensor]:
        """Join outputs.

        Args:
            outs: Of the backbone: tokens (B, N, D) or maps (B, D, h, w).

        Returns:
            The feature (B, D') in a tuple, as heads of mmpretrain take it.
        """
        features = [self._feature(out) for out in outs[:-1]]
        if self.norm is not None:
            features = [self.norm(feature) for feature in features]
        features.append(self._feature(outs[-1]))
        if self.mean:
            features.append(self._mean(outs[-1]))
        return (torch.cat(features, dim=1),)

    def _feature(self, out: Tensor) -> Tensor:
        return out[:, 0] if out.ndim == 3 else out.mean(dim=(2, 3))

    def _mean(self, out: Tensor) -> Tensor:
        if out.ndim == 3:
            return out[:, self.prefix :].mean(dim=1)
        if self.grid is None:
            return out.mean(dim=(2, 3))
        size = (out.shape[2], out.shape[3])
        return finer_tokens(out.flatten(2).mT, size, self.grid).mean(dim=1)
