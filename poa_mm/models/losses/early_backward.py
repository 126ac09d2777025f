"""A backward pass in the middle of the forward pass, which frees a branch's activations."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from poa_mm.models.losses.chunks import without_autocast


def backward_now(loss: Tensor, parameters: Sequence[nn.Parameter]) -> Tensor:
    """Run the backward pass of a loss at once, free its graph, and return the loss.

    The gradients wait, one copy of the parameters in size. The backward pass through the returned
    loss hands them on, scaled by its own gradient. DDP, gradient accumulation and loss scaling see
    the gradients where they expect them. The loss is returned as it is where gradients are off, and
    under float16, where gradients that no scaler has enlarged would underflow.

    Args:
        loss: Scalar.
        parameters: All parameters that it depends on and that require gradients.

    Returns:
        The loss, which may be back-propagated once; a second time raises a RuntimeError.
    """
    device = loss.device.type
    half = _autocast_type(device) == torch.float16
    if half or not loss.requires_grad:
        return loss
    with without_autocast(device):
        gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
    return _Done.apply(loss.detach(), list(gradients), *parameters)


def _autocast_type(device: str) -> torch.dtype | None:
    """Return the data type of autocast where it is on."""
    on = torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)
    return torch.get_autocast_dtype(device) if on else None


class _Done(torch.autograd.Function):
    """Hand on gradients that have been computed before."""

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
