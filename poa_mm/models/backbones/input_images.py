"""The check of a backbone's input."""

from typing import Any

from torch import Tensor


def check_images(x: Any, channels: int) -> None:
    """Check that the input of a backbone is a batch of prepared images.

    Args:
        x: The input.
        channels: Channels that the backbone takes.

    Raises:
        TypeError: Not a floating-point tensor.
        ValueError: Another shape than (B, channels, H, W).
    """
    if not isinstance(x, Tensor):
        raise TypeError(
            f'the network takes a tensor of images (B, {channels}, H, W), got a '
            f'{type(x).__name__}; poa_mm.image_transform(net) makes one of a PIL image'
        )
    shape = tuple(x.shape)
    if x.ndim == 3:
        raise ValueError(
            f'the network takes a batch of images (B, {channels}, H, W), got one of {shape} '
            'without the batch axis: write net(image[None])'
        )
    if x.ndim != 4 or shape[1] != channels:
        hint = '; channels come before height and width' if shape[-1] == channels else ''
        raise ValueError(f'the network takes images (B, {channels}, H, W), got {shape}{hint}')
    if not x.is_floating_point():
        raise TypeError(
            f'the network takes normalised floating-point images, got {x.dtype}; '
            'poa_mm.image_transform(net) prepares a PIL image'
        )
