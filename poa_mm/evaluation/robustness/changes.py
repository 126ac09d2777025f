"""Corrupted images for robustness tests: dropped patches and shuffled grids (paper Fig. 5)."""

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ['DROPPED_TENTHS', 'SHUFFLE_GRIDS', 'drop_patches', 'num_dropped', 'shuffle_patches']

Grid = tuple[int, int]  # rows and columns
Generators = torch.Generator | Sequence[torch.Generator] | None

# Of the paper: tenths of the patches that are dropped, and grids that are shuffled.
DROPPED_TENTHS = tuple(range(10))
SHUFFLE_GRIDS: tuple[Grid, ...] = ((2, 2), (2, 4), (4, 4), (4, 8), (8, 8), (14, 14), (16, 16))


def num_dropped(grid: Grid, tenths: int) -> int:
    """Return the number of patches that tenths of a grid are, rounded down as in the paper's code.

    Example:
        >>> [num_dropped((14, 14), tenths) for tenths in (0, 1, 9)]
        [0, 19, 176]
    """
    return tenths * grid[0] * grid[1] // 10


def drop_patches(
    images: Tensor,
    grid: Grid,
    count: int,
    generator: Generators = None,
    same_for_batch: bool = False,
) -> Tensor:
    """Set randomly chosen patches of images to zero, the mean after normalisation.

    Args:
        images: Normalised images (B, C, H, W).
        grid: Rows and columns of patches; they divide H and W.
        count: Number of patches to drop; see :func:`num_dropped`.
        generator: Source of the choice, on the CPU, or one for each image, so that batches do not
            change the choice; ``None`` uses torch's own.
        same_for_batch: Drop the same patches of all images, as the authors' code does.

    Returns:
        New images of the same shape.

    Raises:
        ValueError: The grid does not divide the images, ``count`` is out of range, or there are
            fewer generators than images.

    Example:
        >>> dropped = drop_patches(torch.ones(2, 3, 8, 8), grid=(2, 2), count=1)
        >>> dropped.mean(dim=(1, 2, 3))
        tensor([0.7500, 0.7500])
    """
    _check_grid(images, grid)
    patches = grid[0] * grid[1]
    if not 0 <= count <= patches:
        raise ValueError(f'count must be in [0, {patches}], got {count}')
    order = _orders(len(images), patches, generator, same_for_batch)
    kept = torch.ones(len(images), patches, dtype=torch.bool)
    kept.scatter_(1, order[:, :count], False)
    mask = kept.view(-1, 1, grid[0], 1, grid[1], 1).to(images.device)
    return _split(images, grid).mul(mask).reshape(images.shape)


def shuffle_patches(
    images: Tensor,
    grid: Grid,
    generator: Generators = None,
    same_for_batch: bool = False,
) -> Tensor:
    """Cut images into a grid of patches and put these together in random order.

    Args:
        images: Images (B, C, H, W).
        grid: Rows and columns of patches; they divide H and W.
        generator: Source of the order, on the CPU, or one for each image; ``None`` uses torch's
            own.
        same_for_batch: Shuffle all images in the same order, as the authors' code does.

    Returns:
        New images of the same shape.

    Raises:
        ValueError: The grid does not divide the images.

    Example:
        >>> image = torch.arange(16.0).view(1, 1, 4, 4)
        >>> shuffled = shuffle_patches(image, grid=(2, 2))
        >>> shuffled.sum() == image.sum()
        tensor(True)
    """
    _check_grid(images, grid)
    order = _orders(len(images), grid[0] * grid[1], generator, same_for_batch).to(images.device)
    # (B, patches, C, h, w): each image takes its own patches in its own order.
    patches = _split(images, grid).permute(0, 2, 4, 1, 3, 5).flatten(1, 2)
    shuffled = patches[torch.arange(len(images), device=images.device)[:, None], order]
    joined = shuffled.unflatten(1, grid).permute(0, 3, 1, 4, 2, 5)
    return joined.reshape(images.shape)


def _check_grid(images: Tensor, grid: Grid) -> None:
    height, width = images.shape[-2:]
    if min(grid) < 1 or height % grid[0] or width % grid[1]:
        raise ValueError(
            f'a grid of {grid[0]} × {grid[1]} patches does not divide images of '
            f'{height} × {width} pixels'
        )


def _split(images: Tensor, grid: Grid) -> Tensor:
    """View images as (B, C, rows, height of a patch, columns, width of a patch)."""
    return images.unflatten(3, (grid[1], -1)).unflatten(2, (grid[0], -1))


def _orders(batch: int, patches: int, generator: Generators, same_for_batch: bool) -> Tensor:
    """Draw a random order of patches for each image, (B, patches)."""
    draws = 1 if same_for_batch else batch
    if isinstance(generator, Sequence):
        if len(generator) < draws:
            raise ValueError(f'{draws} orders need as many generators, got {len(generator)}')
        rows = [torch.rand(patches, generator=one) for one in generator[:draws]]
        orders = torch.stack(rows).argsort(dim=1)
    else:
        orders = torch.rand(draws, patches, generator=generator).argsort(dim=1)
    return orders.expand(batch, patches)
