"""Accuracy of all sub-networks as a map of depths by widths (as the paper's Table 13)."""

from collections.abc import Sequence
from pathlib import Path
from textwrap import fill

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from poa_mm.elastic import Subnet
from poa_mm.visualization.frontier import FrontierRow

__all__ = ['plot_heat_map']

CELL = (0.78, 0.42)  # inches
MARGIN = (2.6, 1.6)
LUMINANCE = (0.3, 0.59, 0.11)  # of red, green and blue
DARK = 0.5  # luminance below which numbers are white
NAME_BELOW = 0.32  # the number, in cells
LEAST_SPAN = 5.0  # of the colours, in points, so that noise does not look like a trend

LETTERS = 8  # of a title, in an inch of the picture


def plot_heat_map(
    rows: Sequence[FrontierRow],
    path: str | Path,
    title: str = 'Sub-networks of one pre-trained supernet',
    label: str = 'k-NN top-1 accuracy (%)',
) -> None:
    """Plot the accuracy of each sub-network, depths by widths, with the number in each cell.

    Sub-networks with a well-known name have a frame; the best one has a red ring. Colours span the
    accuracies, and five points at least: close ones have close colours.

    Args:
        rows: The sub-networks' results, in any order.
        path: Image to write; its suffix gives the format. An existing file is replaced.
        title: Title of the plot.
        label: What the numbers are, with their unit.

    Raises:
        ValueError: ``rows`` is empty.
    """
    if not rows:
        raise ValueError('rows is empty: there is nothing to plot')
    widths = sorted({row.width for row in rows})
    depths = sorted({row.depth for row in rows}, key=lambda depth: (np.sum(depth), depth))
    places = [(depths.index(row.depth), widths.index(row.width)) for row in rows]
    values = np.full((len(depths), len(widths)), np.nan)
    for place, row in zip(places, rows, strict=True):
        values[place] = row.accuracy
    size = [
        max(4.8, share * count + margin)
        for share, count, margin in zip(CELL, (len(widths), len(depths)), MARGIN, strict=True)
    ]
    figure = Figure(figsize=(size[0], size[1]), dpi=100, layout='constrained')
    axes = figure.subplots()
    low, high = _color_range(values)
    image = axes.imshow(values, cmap='viridis', aspect='auto', vmin=low, vmax=high)
    figure.colorbar(image, ax=axes, pad=0.02).set_label(label, fontsize=11)
    axes.set_xticks(range(len(widths)), [str(width) for width in widths])
    axes.set_yticks(
        range(len(depths)), ['-'.join(map(str, Subnet(0, depth).stage_depths)) for depth in depths]
    )
    axes.set_xlabel('width (channels)', fontsize=11)
    axes.set_ylabel('depth (blocks)', fontsize=11)
    # Not matplotlib's wrap=True, for which the layout leaves no room.
    axes.set_title(fill(title, int(LETTERS * size[0])), fontsize=12, pad=10)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    _write_numbers(axes, values)
    for place, row in zip(places, rows, strict=True):
        if row.name:
            _frame(axes, place, 'black', 2.0)
            color = _text_color(values, row.accuracy)
            below = (place[1], place[0] + NAME_BELOW)
            axes.text(*below, row.name, ha='center', va='center', fontsize=7, color=color)
    best = max(range(len(rows)), key=lambda index: rows[index].accuracy)
    _frame(axes, places[best], 'crimson', 2.0, inset=0.07)
    figure.savefig(path)


def _write_numbers(axes: Axes, values: np.ndarray) -> None:
    for (row, column), value in np.ndenumerate(values):
        if not np.isnan(value):
            color = _text_color(values, value)
            text = f'{value:.1f}'
            axes.text(column, row, text, ha='center', va='center', fontsize=10, color=color)


def _color_range(values: np.ndarray) -> tuple[float, float]:
    """Return what the ends of the colours stand for, with the accuracies in the middle."""
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    spare = max(0.0, LEAST_SPAN - (high - low)) / 2
    return low - spare, high + spare


def _text_color(values: np.ndarray, value: float) -> str:
    """Choose black or white, whichever can be read on the cell."""
    low, high = _color_range(values)
    shade = colormaps['viridis']((value - low) / (high - low))
    return 'white' if np.dot(shade[:3], LUMINANCE) < DARK else 'black'


def _frame(
    axes: Axes, place: tuple[int, int], color: str, linewidth: float, inset: float = 0.0
) -> None:
    side = 1 - 2 * inset
    corner = (place[1] - 0.5 + inset, place[0] - 0.5 + inset)
    axes.add_patch(
        Rectangle(
            corner, side, side, fill=False, edgecolor=color, linewidth=linewidth, clip_on=False
        )
    )
