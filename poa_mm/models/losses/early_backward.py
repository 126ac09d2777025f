"""A backward pass in the middle of the forward pass, which frees a branch's activations."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn


def backward_now(loss: Tensor, parameters: Sequence[nn.Parameter]) -> Tensor:
    """The same loss, whose backward pass is done and whose graph is gone.

    Its gradients wait, one copy of the parameters in size, until the backward pass of what the
    result is used in hands them on, scaled as that asks. DDP, gradient accumulation and loss
    scaling see the gradients where they expect them. In float16 the loss is returned as it is:
    gradients that no scaler has enlarged would be lost there. So it is without gradients at all.

    Args:
        loss: Scalar.
        parameters: All parameters that it depends on and that want gradients.

    Raises:
        RuntimeError: In a second backward pass through the result.
    """
    device = loss.device.type
    half = torch.is_autocast_enabled(device) and torch.get_autocast_dtype(device) == torch.float16
    if half or not loss.requires_grad:
        return loss
    with torch.autocast(device, enabled=False):
        gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
    return _Done.apply(loss.detach(), list(gradients), *parameters)


class _Done(torch.autograd.Function):
    """Hands gradients on that have been computed before."""

    @staticmethod
    def forward(ctx: Any, loss: Tensor, gradients: list[Tensor | None], *_: Tensor) -> Tensor:
        ctx.gradients = gradients
        return loss.clone()

    @staticmethod
    def backward(ctx: Any, scale: Tensor) -> tuple[Tensor | None, ...]:
        if ctx.gradients is None:
            raise RuntimeError('the intact student has been differentiated already: call losses()')
        gradients, ctx.gradients = ctx.gradients, None
        torch._foreach_mul_([gradient for gradient in gradients if gradient is not None], scale)
        return None, None, *gradients
