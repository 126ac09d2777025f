"""Keep boxes in float32 under mixed precision.

bf16 has eight significant bits: between 512 and 1024, only every fourth integer. mmdet computes
anchors and proposals in the type of the predictions, and RoIAlign in the type of the feature maps,
to which it casts the boxes. These two parts compute in float32; in a float32 model they change
nothing. They have no new or renamed weights. mmcv's RoIAlign does not support bf16 anyway.
"""

from collections.abc import Sequence
from typing import Any

import torch
from mmdet.models import RPNHead, SingleRoIExtractor
from mmdet.registry import MODELS
from torch import Tensor


@MODELS.register_module()
class Float32RPNHead(RPNHead):
    """mmdet's RPN head with anchors and proposals in float32.

    Args:
        **kwargs: Those of mmdet's ``RPNHead``.
    """

    def predict_by_feat(
        self, cls_scores: Sequence[Tensor], bbox_preds: Sequence[Tensor], *args: Any, **kwargs: Any
    ) -> Any:
        """Return the proposals of each image, from scores (B, A, h, w) and deltas (B, 4A, h, w)."""
        return super().predict_by_feat(_float32(cls_scores), _float32(bbox_preds), *args, **kwargs)


@MODELS.register_module()
class Float32RoIExtractor(SingleRoIExtractor):
    """mmdet's RoI extractor, which pools in float32 and returns the type of the maps.

    The float32 maps are not kept for the backward pass: RoIAlign needs only their shape.

    Args:
        **kwargs: Those of mmdet's ``SingleRoIExtractor``.
    """

    def forward(
        self, feats: Sequence[Tensor], rois: Tensor, roi_scale_factor: float | None = None
    ) -> Tensor:
        """Pool maps (B, C, h, w) over boxes (K, 5) in pixels to (K, C, height, width)."""
        with torch.autocast(rois.device.type, enabled=False):
            pooled = super().forward(_float32(feats), rois, roi_scale_factor)
        return pooled.to(feats[0].dtype)


def _float32(tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Convert to float32; float64 stays."""
    return tuple(t.to(torch.promote_types(t.dtype, torch.float32)) for t in tensors)
