"""The accuracy of every sub-network over its size (the picture of POA's Fig. 1)."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from matplotlib import colormaps, patheffects
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

__all__ = ['FrontierRow', 'plot_frontier']

MUTED = '0.55'
LEVEL_STYLES = (':', '-.')  # of horizontal lines
# A single line per depth names itself in a legend up to here, and in a colour bar beyond.
MAX_LEGEND = 6


class FrontierRow(Protocol):
    """What the plot reads of a sub-network's result; ``KnnRow`` has it."""

    @property
    def name(self) -> str:
        """Name to write beside the point, or ''."""

    @property
    def width(self) -> int:
        """Elastic width."""

    @property
    def depth(self) -> int:
        """Elastic depth."""

    @property
    def params(self) -> int:
        """Number of parameters."""

    @property
    def accuracy(self) -> float:
        """Accuracy in percent."""


def plot_frontier(
    rows: Sequence[FrontierRow],
    path: str | Path,
    baselines: Mapping[str, float | Sequence[float]] | None = None,
    title: str = 'Sub-networks of one pre-trained supernet',
    ylabel: str = 'k-NN top-1 accuracy (%)',
) -> None:
    """Draws accuracy over parameters, one line per depth with the width growing along it.

    Rings mark the Pareto front: sub-networks better than all of at most their size. Names are
    written beside their points.

    Args:
        rows: The sub-networks' results, in any order.
        path: Image to write, 1200 x 800 pixels for a ``.png``; its suffix gives the format.
            An existing file is replaced.
        baselines: References by name, drawn in grey: one accuracy in percent for all
            sub-networks, or one for each row.
        title: Title of the plot.
        ylabel: Label of the accuracy axis, with its unit.

    Raises:
        ValueError: If ``rows`` is empty or a baseline has not one value for each row.
    """
    if not rows:
        raise ValueError('rows is empty: there is nothing to plot')
    # matplotlib's object interface: no global state, no display, safe inside a training run.
    figure = Figure(figsize=(12, 8), dpi=100, layout='constrained')
    axes = figure.subplots()
    _draw_depths(figure, axes, rows)
    _draw_pareto_front(axes, rows)
    level_styles = cycle(LEVEL_STYLES)
    for name, values in (baselines or {}).items():
        _draw_baseline(axes, rows, name, values, level_styles)
    _style(axes, rows, title, ylabel)
    _draw_names(axes, rows)
    # Below the axes: inside them, some space or other always fills every corner.
    figure.legend(loc='outside lower center', ncols=6, fontsize=11, frameon=False)
    figure.savefig(path)


def _millions(row: FrontierRow) -> float:
    return row.params / 1e6


def _lines(rows: Sequence[FrontierRow]) -> dict[Any, list[int]]:
    """Indices of the rows by depth, both from small to large."""
    lines = defaultdict(list)
    for index in sorted(range(len(rows)), key=lambda i: (rows[i].depth, rows[i].params)):
        lines[rows[index].depth].append(index)
    return dict(lines)


def _draw_depths(figure: Figure, axes: Axes, rows: Sequence[FrontierRow]) -> None:
    """One coloured line per depth and the key to the colours."""
    lines = _lines(rows)
    # The end of viridis is too light for thin lines on white.
    colors = colormaps['viridis'](np.linspace(0, 0.9, len(lines)))
    for color, (depth, indices) in zip(colors, lines.items(), strict=True):
        axes.plot(
            [_millions(rows[i]) for i in indices],
            [rows[i].accuracy for i in indices],
            marker='o',
            markersize=5,
            linewidth=1.5,
            color=color,
            label=f'depth {depth}' if len(lines) <= MAX_LEGEND else None,
            zorder=3,
        )
    if len(lines) > MAX_LEGEND:
        bounds = np.arange(len(lines) + 1) - 0.5
        key = ScalarMappable(BoundaryNorm(bounds, len(lines)), ListedColormap(colors))
        step = -(-len(lines) // 15)
        ticks = list(range(len(lines)))[::step]
        bar = figure.colorbar(key, ax=axes, ticks=ticks, pad=0.015)
        bar.set_label('depth (blocks)', fontsize=13)
        bar.set_ticklabels([str(list(lines)[tick]) for tick in ticks])
        bar.ax.minorticks_off()


def _draw_baseline(
    axes: Axes,
    rows: Sequence[FrontierRow],
    name: str,
    values: float | Sequence[float],
    level_styles: Iterator[str],
) -> None:
    """A horizontal line for one value, dashed lines along the depths for one per row."""
    if isinstance(values, Sequence):
        if len(values) != len(rows):
            raise ValueError(f'baseline {name!r} has {len(values)} values for {len(rows)} rows')
        for number, indices in enumerate(_lines(rows).values()):
            axes.plot(
                [_millions(rows[i]) for i in indices],
                [values[i] for i in indices],
                linestyle='--',
                marker='x',
                markersize=4,
                linewidth=1,
                color=MUTED,
                label=name if number == 0 else None,
                zorder=2,
            )
    else:
        axes.axhline(
            values,
            linestyle=next(level_styles),
            linewidth=1.5,
            color=MUTED,
            label=name,
            zorder=1,
        )


def _draw_pareto_front(axes: Axes, rows: Sequence[FrontierRow]) -> None:
    """Rings the rows that are better than all others of at most their size."""
    best = float('-inf')
    front = []
    for row in sorted(rows, key=lambda row: (row.params, -row.accuracy)):
        if row.accuracy > best:
            best = row.accuracy
            front.append(row)
    axes.plot(
        [_millions(row) for row in front],
        [row.accuracy for row in front],
        linestyle='none',
        marker='o',
        markersize=9,
        markerfacecolor='none',
        markeredgecolor='black',
        markeredgewidth=0.8,
        label='Pareto front',
        zorder=4,
    )


def _draw_names(axes: Axes, rows: Sequence[FrontierRow]) -> None:
    """Writes the names just above or below all lines that pass there, whichever is nearer."""
    axes.autoscale_view()  # matplotlib sets the limits late, and they are needed now
    to_axes = axes.transScale + axes.transLimits
    lines = [
        to_axes.transform([(_millions(rows[i]), rows[i].accuracy) for i in indices])
        for indices in _lines(rows).values()
    ]
    for row in rows:
        if not row.name:
            continue
        text = f'{row.name}  {row.accuracy:.1f}'
        x, y = to_axes.transform((_millions(row), row.accuracy))
        half = 0.006 * len(text)
        x_text = min(max(x, half), 1 - half)
        span = np.linspace(x_text - half, x_text + half, 25)
        heights = [np.interp(span, line[:, 0], line[:, 1], left=y, right=y) for line in lines]
        top, bottom = np.max(heights), np.min(heights)
        axes.annotate(
            text,
            (_millions(row), row.accuracy),
            xytext=(x_text, top + 0.045 if top - y <= y - bottom else bottom - 0.045),
            textcoords='axes fraction',
            ha='center',
            va='center',
            fontsize=12,
            fontweight='bold',
            path_effects=[patheffects.withStroke(linewidth=3, foreground='white')],
            arrowprops={'arrowstyle': '-', 'color': '0.3', 'shrinkB': 5},
            zorder=5,
        )


def _style(axes: Axes, rows: Sequence[FrontierRow], title: str, ylabel: str) -> None:
    """Scales, ticks, labels, grid, legend."""
    sizes = [_millions(row) for row in rows]
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
    axes.set_title(title, fontsize=15, pad=12)
    axes.tick_params(labelsize=11)
    axes.grid(color='0.9')
    axes.set_axisbelow(True)
    axes.spines[['top', 'right']].set_visible(False)
