"""A gradient for every parameter, where a step reaches a part of the network alone."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn


def reach_all(loss: Tensor, parameters: Sequence[nn.Parameter]) -> Tensor:
    """Return the loss unchanged, with a gradient of zero for the parameters that it does not reach.

    A sub-network leaves blocks out. Without a gradient, DDP would wait for them, and the optimiser
    would skip them on one process but not on several, where other ranks may reach them. The
    channels that a sub-network leaves out of a layer have a gradient of zero as well.

    Args:
        loss: Scalar.
        parameters: All that are to train.
    """
    return _ReachAll.apply(loss, *parameters) if loss.requires_grad else loss


class _ReachAll(torch.autograd.Function):
    """Hand a zero to each parameter in the backward pass; none is read or added to the loss."""

    @staticmethod
    def forward(ctx: Any, loss: Tensor, *parameters: Tensor) -> Tensor:
        ctx.zeros = [parameter.new_zeros(()) for parameter in parameters]
        ctx.shapes = [parameter.shape for parameter in parameters]
        return loss.clone()

    @staticmethod
    def backward(ctx: Any, scale: Tensor) -> tuple[Tensor, ...]:
        zeros = zip(ctx.zeros, ctx.shapes, strict=True)
        return scale, *(zero.expand(shape) for zero, shape in zeros)
