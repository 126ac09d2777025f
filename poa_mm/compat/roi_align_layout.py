"""mmcv's compiled RoIAlign reads memory as if every map were contiguous.

Its kernels take the pointer of the features and no strides, and do not check
(https://github.com/open-mmlab/mmcv/issues/2203). The maps of a ViT are tokens seen as an image,
channels last, and convolutions keep that layout: RoIs would be pooled from shuffled features,
without an error. torchvision's kernel makes its input contiguous itself.
"""

import functools
from typing import Any

from torch import Tensor

__all__ = ['install']


def install() -> None:
    """Hand contiguous features and boxes to RoIAlign; needs ``mmcv._ext`` or its stand-in."""
    from mmcv.ops.roi_align import RoIAlignFunction

    forward = RoIAlignFunction.forward
    if hasattr(forward, '__wrapped__'):
        return

    @functools.wraps(forward)
    def contiguous(ctx: Any, features: Tensor, rois: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return forward(ctx, features.contiguous(), rois.contiguous(), *args, **kwargs)

    RoIAlignFunction.forward = staticmethod(contiguous)
