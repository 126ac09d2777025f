"""Pass contiguous feature maps to RoIAlign.

Defect (all versions of mmcv): the compiled kernels read memory as if it were contiguous, without a
check (https://github.com/open-mmlab/mmcv/issues/2203). The maps of a ViT are tokens viewed as an
image, channels last, and convolutions keep that layout: RoIs would be pooled from shuffled
features, without an error. torchvision's kernel makes its input contiguous. Fix: do it for mmcv's.
"""

import functools
from typing import Any

from torch import Tensor

__all__ = ['install']


def install() -> None:
    """Make features and boxes contiguous; needs ``mmcv._ext`` or its replacement."""
    from mmcv.ops.roi_align import RoIAlignFunction

    forward = RoIAlignFunction.forward
    if hasattr(forward, '__wrapped__'):
        return

    @functools.wraps(forward)
    def contiguous(ctx: Any, features: Tensor, rois: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return forward(ctx, features.contiguous(), rois.contiguous(), *args, **kwargs)

    RoIAlignFunction.forward = staticmethod(contiguous)
