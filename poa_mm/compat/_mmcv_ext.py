"""Provide ``mmcv._ext`` by torchvision: NMS and average RoIAlign; other operators raise.

Installed by :mod:`poa_mm.compat.mmcv_ops`, which states the defect. ``mmcv.ops`` calls its
extension with these signatures; outputs and gradients are written in place.
"""

from collections.abc import Callable
from typing import NoReturn

import torch
import torchvision  # registers torch.ops.torchvision
from torch import Tensor

_FIX = (
    'Install an mmcv with compiled ops: '
    '`pip uninstall -y onedl-mmcv && pip install -U onedl-mim && mim install onedl-mmcv` (OneDL) '
    'or `pip uninstall -y mmcv && pip install -U openmim && mim install mmcv` (upstream). '
    'Where no prebuilt wheel fits your torch and CUDA, build it from source '
    '(https://onedl-mmcv.readthedocs.io/en/latest/get_started/build.html).'
)
_AVERAGE_POOLING = 1  # mmcv's code for pool_mode='avg'; 0 is 'max'


def nms(bboxes: Tensor, scores: Tensor, iou_threshold: float, offset: int) -> Tensor:
    """Suppress boxes that overlap a better one by more than ``iou_threshold``.

    Args:
        bboxes: ``(N, 4)`` corners x1, y1, x2, y2.
        scores: ``(N,)``; may be of lower precision than the boxes (autocast).
        iou_threshold: intersection over union above which the lower score goes.
        offset: a box is ``x2 - x1 + offset`` wide: 0 for continuous, 1 for pixel coordinates.

    Returns:
        Indices of the boxes kept, by falling score.
    """
    dtype = torch.promote_types(torch.promote_types(bboxes.dtype, scores.dtype), torch.float32)
    corners = bboxes.to(dtype) + bboxes.new_tensor([0, 0, offset, offset], dtype=dtype)
    return torchvision.ops.nms(corners, scores.to(dtype), iou_threshold)


def roi_align_forward(
    input: Tensor,  # noqa: A002 - mmcv's name
    rois: Tensor,
    output: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """Pool ``input`` ``(N, C, H, W)`` over ``rois`` ``(K, 5)`` into ``output`` ``(K, C, h, w)``.

    Raises:
        NotImplementedError: for max pooling, which torchvision does not have.
    """
    _require_average(pool_mode)
    # The kernel wants one dtype for both, and has no bfloat16.
    dtype = torch.promote_types(input.dtype, torch.float32)
    pooled = torch.ops.torchvision.roi_align(
        input.to(dtype),
        rois.to(dtype),
        spatial_scale,
        aligned_height,
        aligned_width,
        sampling_ratio,
        aligned,
    )
    output.copy_(pooled)


def roi_align_backward(
    grad_output: Tensor,
    rois: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    grad_input: Tensor,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """Add to ``grad_input`` ``(N, C, H, W)`` the gradient of :func:`roi_align_forward`.

    Raises:
        NotImplementedError: for max pooling, which torchvision does not have.
    """
    _require_average(pool_mode)
    dtype = torch.promote_types(grad_output.dtype, torch.float32)
    gradient = torch.ops.torchvision._roi_align_backward(
        grad_output.to(dtype),
        rois.to(dtype),
        spatial_scale,
        aligned_height,
        aligned_width,
        *grad_input.shape,
        sampling_ratio,
        aligned,
    )
    grad_input.add_(gradient)


def get_compiler_version() -> str:
    """Return a text without a compiler, for ``mmcv.utils.collect_env``."""
    return 'none (torchvision in place of mmcv._ext)'


get_compiling_cuda_version = get_compiler_version


def __getattr__(name: str) -> Callable[..., NoReturn]:
    """Return a function that raises, for any other operator: mmcv looks up all at import."""
    if name.startswith('_'):  # module attributes that Python and torch probe for
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')

    def missing_op(*args: object, **kwargs: object) -> NoReturn:
        raise _not_available(name)

    return missing_op


def _require_average(pool_mode: int) -> None:
    if pool_mode != _AVERAGE_POOLING:
        raise _not_available("roi_align with pool_mode='max'")


def _not_available(op: str) -> NotImplementedError:
    return NotImplementedError(
        f"mmcv's {op} is not available: this mmcv has no compiled ops, and torchvision replaces "
        f'only nms and average roi_align. {_FIX}'
    )
