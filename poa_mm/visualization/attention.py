"""Picture of what the heads of a network attend to (as the paper's Fig. 8 and 9)."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from poa_mm.visualization.canvas import (
    distinct_colours,
    fonts,
    shorten,
    show_image,
    write_figure,
    write_title,
)

__all__ = ['MASS', 'AttentionMap', 'leading_heads', 'mass_mask', 'plot_attention']

MASS = 0.6  # share of a head's attention that is in its colour, as in the paper's pictures
OPACITY = 0.65  # of that colour over the image
PANEL = 1.5  # inches


@dataclass(frozen=True)
class AttentionMap:
    """What one image makes the heads of one network attend to.

    Args:
        image: Name to write beside it.
        network: Name of the network.
        pixels: The image as the network sees it, (H, W, 3) uint8, RGB.
        weights: Attention of each head to each patch, (heads, rows, columns).
    """

    image: str
    network: str
    pixels: np.ndarray
    weights: np.ndarray


def mass_mask(weights: np.ndarray, mass: float = MASS) -> np.ndarray:
    """Find the fewest patches that hold a share of the attention.

    Args:
        weights: Attention to patches, not negative, (…, N). What lies elsewhere, such as on the
            class token itself, does not count.
        mass: The share, within 0…1.

    Returns:
        bool (…, N): the patches with the largest weights; of equal ones, the first.

    Raises:
        ValueError: A share out of range.

    Example:
        >>> mass_mask(np.array([0.1, 0.5, 0.3, 0.1]), 0.6).tolist()
        [False, True, True, False]
    """
    if not 0 <= mass <= 1:
        raise ValueError(f'the share of the attention must be within 0…1, got {mass}')
    weights = np.asarray(weights, dtype=np.float64)
    order = np.argsort(-weights, axis=-1, kind='stable')
    sums = np.take_along_axis(weights, order, axis=-1).cumsum(axis=-1)
    before = np.concatenate([np.zeros_like(sums[..., :1]), sums[..., :-1]], axis=-1)
    mask = np.zeros(weights.shape, dtype=bool)
    np.put_along_axis(mask, order, before < mass * sums[..., -1:], axis=-1)
    return mask


def leading_heads(weights: np.ndarray, mass: float = MASS) -> np.ndarray:
    """Find the head whose colour each patch takes.

    Args:
        weights: Attention of each head, (heads, N).
        mass: Share of each head's attention that counts; see :func:`mass_mask`.

    Returns:
        int (N,): of the heads that count the patch, the one with most attention to it; -1 of
        patches that none counts.
    """
    counted = np.where(mass_mask(weights, mass), weights, -1.0)
    return np.where(counted.max(axis=0) < 0, -1, counted.argmax(axis=0))


def plot_attention(
    maps: Sequence[AttentionMap], path: str | Path, title: str = '', mass: float = MASS
) -> None:
    """Draw each image, its patches in the colours of the heads, their mean, and every head.

    Maps of single heads and the mean reach from no attention to the largest weight of the panel.

    Args:
        maps: A row of the picture each.
        path: Image to write; its suffix gives the format. An existing file is replaced.
        title: Title of the picture.
        mass: Share of each head's attention that is in its colour.

    Raises:
        ValueError: There is nothing to draw.
    """
    if not maps:
        raise ValueError('there is no attention to draw')
    heads = max(len(one.weights) for one in maps)
    heights = [PANEL * one.pixels.shape[0] / one.pixels.shape[1] for one in maps]
    figure = Figure(
        figsize=((3 + heads) * (PANEL + 0.1), sum(heights) + 0.3 * len(maps) + 0.7),
        dpi=100,
        layout='constrained',
    )
    panels = figure.subplots(len(maps), 3 + heads, squeeze=False, height_ratios=heights)
    for axes in panels.flat:
        axes.axis('off')
    for row, one in zip(panels, maps, strict=True):
        _draw_row(row, one, mass)
    names = [
        f'{100 * mass:.0f} % of each head',
        'mean of heads',
        *(f'head {n + 1}' for n in range(heads)),
    ]
    for axes, name in zip(panels[0, 1:], names, strict=True):
        axes.set_title(name, fontsize=9)
    if title:
        write_title(figure, title)
    write_figure(figure, path)


def _draw_row(row: np.ndarray, one: AttentionMap, mass: float) -> None:
    heads, *grid = one.weights.shape
    height, width = one.pixels.shape[:2]
    extent = (0.0, float(width), float(height), 0.0)
    colours = distinct_colours(heads)
    show_image(row[0], one.pixels)
    text = f'{shorten(one.image, 22)}\n{shorten(one.network, 22)}'
    row[0].set_title(text, fontsize=8, parse_math=False, fontfamily=fonts())
    leaders = leading_heads(one.weights.reshape(heads, -1), mass).reshape(grid)
    overlay = np.zeros((*grid, 4))
    overlay[leaders >= 0, :3] = colours[leaders[leaders >= 0]]
    overlay[leaders >= 0, 3] = OPACITY
    show_image(row[1], one.pixels)
    show_image(row[1], overlay, extent)
    for axes, weights in zip(row[2:], (one.weights.mean(axis=0), *one.weights), strict=False):
        axes.imshow(weights, extent=extent, cmap='viridis', vmin=0, interpolation='nearest')
    for axes, colour in zip(row[3:], colours, strict=False):  # the colour of the head
        axes.axhline(0, 0.02, 0.98, color=colour, linewidth=6, clip_on=False)
