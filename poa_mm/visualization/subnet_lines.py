"""Shared parts of plots over the size of sub-networks: lines, colours and the size axis."""

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from poa_mm.elastic import Depth

__all__ = ['SubnetRow', 'draw_colorbar', 'draw_lines', 'millions', 'style_axes', 'subnet_lines']

# Up to so many colours are explained by a legend, more by a colour bar.
MAX_LEGEND = 6


class SubnetRow(Protocol):
    """A sub-network to plot."""

    @property
    def name(self) -> str:
        """Name to write beside the point, or ''."""

    @property
    def width(self) -> int:
        """Elastic width."""

    @property
    def depth(self) -> Depth:
        """Elastic depth; a tuple for families with elastic stages."""

    @property
    def params(self) -> int:
        """Number of parameters."""


class Line(NamedTuple):
    """Indices of the rows that a line joins, from small to large, and its colour."""

    color: int  # the depth, or, with elastic stages, the width
    indices: list[int]


def millions(row: SubnetRow) -> float:
    """Return the number of parameters in millions."""
    return row.params / 1e6


def subnet_lines(rows: Sequence[SubnetRow]) -> list[Line]:
    """Group rows into lines: one per depth, along which the width grows.

    Families with elastic stages (ResNet) have more depths than there are colours: then a line has
    one width, and the longest stage grows along it.
    """
    longest = _longest_stage(rows)
    lines: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for index in sorted(range(len(rows)), key=lambda i: rows[i].params):
        width, depth = rows[index].width, rows[index].depth
        if isinstance(depth, tuple):
            lines[(width, *depth[:longest], *depth[longest + 1 :])].append(index)
        else:
            lines[(depth,)].append(index)
    return [Line(key[0], lines[key]) for key in sorted(lines)]


def draw_lines(axes: Axes, rows: Sequence[SubnetRow], values: Sequence[float]) -> None:
    """Draw one value of each row over its size; name the colours in the legend if they are few."""
    lines = subnet_lines(rows)
    colors = _colors(lines)
    stages = _has_stages(rows)
    unnamed = set(colors) if len(colors) <= MAX_LEGEND else set()
    for color, indices in lines:
        axes.plot(
            [millions(rows[i]) for i in indices],
            [values[i] for i in indices],
            marker='o',
            markersize=3 if stages else 5,
            linewidth=1 if stages else 1.5,
            color=colors[color],
            label=f'{"width" if stages else "depth"} {color}' if color in unnamed else None,
            zorder=3,
        )
        unnamed.discard(color)


def draw_colorbar(figure: Figure, axes: Axes | np.ndarray, rows: Sequence[SubnetRow]) -> None:
    """Draw a colour bar if there are more colours than a legend names."""
    colors = _colors(subnet_lines(rows))
    if len(colors) <= MAX_LEGEND:
        return
    bounds = np.arange(len(colors) + 1) - 0.5
    colormap = ListedColormap(list(colors.values()))
    key = ScalarMappable(BoundaryNorm(bounds, len(colors)), colormap)
    ticks = list(range(len(colors)))[:: -(-len(colors) // 15)]
    bar = figure.colorbar(key, ax=axes, ticks=ticks, pad=0.015)
    bar.set_label('width (channels)' if _has_stages(rows) else 'depth (blocks)', fontsize=13)
    bar.set_ticklabels([str(list(colors)[tick]) for tick in ticks])
    bar.ax.minorticks_off()


def style_axes(axes: Axes, rows: Sequence[SubnetRow], ylabel: str) -> None:
    """Set the scale of the size axis, labels and grid."""
    sizes = [millions(row) for row in rows]
    if max(sizes) > 4 * min(sizes):
        axes.set_xscale('log')
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5, 7)))
        axes.xaxis.set_minor_locator(NullLocator())
    else:
        axes.xaxis.set_major_locator(MaxNLocator(8))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f'{value:g}'))
    axes.margins(x=0.07, y=0.1)
    axes.set_xlabel('parameters (M)', fontsize=13)
    axes.set_ylabel(ylabel, fontsize=13)
    axes.tick_params(labelsize=11)
    axes.grid(color='0.9')
    axes.set_axisbelow(True)
    axes.spines[['top', 'right']].set_visible(False)


def _colors(lines: Sequence[Line]) -> dict[int, np.ndarray]:
    values = sorted({line.color for line in lines})
    # The end of viridis is too light for thin lines on white.
    shades = colormaps['viridis'](np.linspace(0, 0.9, len(values)))
    return dict(zip(values, shades, strict=True))


def _has_stages(rows: Sequence[SubnetRow]) -> bool:
    return isinstance(rows[0].depth, tuple)


def _longest_stage(rows: Sequence[SubnetRow]) -> int:
    """Find the stage with the most different depths; 0 for families without elastic stages."""
    depths = [row.depth for row in rows if isinstance(row.depth, tuple)]
    numbers = [len(set(stage)) for stage in zip(*depths, strict=True)]
    return numbers.index(max(numbers)) if numbers else 0
