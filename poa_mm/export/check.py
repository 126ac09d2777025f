"""Comparison of the outputs of an exported file with those of the sub-network."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Network = Callable[[Tensor], Sequence[Tensor]]
BATCH_SIZES = (1, 3)  # other than that of tracing
TRACED_BATCH_SIZE = 2


def example_images(batch: int, shape: tuple[int, int, int]) -> Tensor:
    """Draw reproducible noise as a batch of images of shape (C, H, W)."""
    return torch.randn(batch, *shape, generator=torch.Generator().manual_seed(batch))


@torch.no_grad()
def largest_difference(
    net: Network,
    reference: Network,
    input_shape: tuple[int, int, int],
    tolerance: float,
    dtype: torch.dtype = torch.float32,
) -> float:
    """Measure the largest difference between the outputs of two networks.

    Both get the same noise as images, in batches of all ``BATCH_SIZES``.

    Args:
        net: The exported network.
        reference: The sub-network.
        input_shape: Channels, height and width of the images.
        tolerance: Largest difference to accept.
        dtype: Data type of the images.

    Returns:
        The difference, relative to the largest output of the sub-network.

    Raises:
        ValueError: The difference exceeds ``tolerance``, or shapes differ.
    """
    differences = []
    for batch in BATCH_SIZES:
        images = example_images(batch, input_shape).to(dtype)
        for got, expected in zip(net(images), reference(images), strict=True):
            if got.shape != expected.shape:
                raise ValueError(
                    f'the exported network gives {tuple(got.shape)} for {batch} images, the '
                    f'sub-network {tuple(expected.shape)}; nothing was written'
                )
            differences.append((got - expected).abs().max() / expected.abs().max())
    worst = torch.stack(differences).max().item()
    if not worst <= tolerance:  # NaN too
        raise ValueError(
            f'the outputs of the exported network differ from those of the sub-network by '
            f'{worst:.1e} of the largest one, more than {tolerance:.0e}; nothing was written'
        )
    return worst
