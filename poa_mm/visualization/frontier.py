"""Plot of accuracy over size for all sub-networks (as the paper's Fig. 1)."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from poa_mm.visualization.subnet_lines import (
    SubnetRow,
    draw_colorbar,
    draw_lines,
    millions,
    style_axes,
    subnet_lines,
)

__all__ = ['FrontierRow', 'draw_baseline', 'pareto_front', 'plot_frontier']

MUTED = '0.55'
LEVEL_STYLES = (':', '-.')  # of horizontal lines
TEXT_HEIGHT = 0.045  # share of the axes


class FrontierRow(SubnetRow, Protocol):
    """Result of a sub-network, such as :class:`~poa_mm.evaluation.KnnRow`."""

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
    """Plot accuracy over parameters, with one line per depth along which the width grows.

    For families with elastic stages (ResNet), a line has one width, which gives its colour, and the
    longest stage grows along it.

    Rings mark the Pareto front (:func:`pareto_front`). Well-known names are written beside their
    points.

    Args:
        rows: The sub-networks' results, in any order.
        path: Image to write, 1200 x 800 pixels for a ``.png``; its suffix gives the format.
            An existing file is replaced.
        baselines: Baselines by name, drawn in grey: one accuracy in percent for all sub-networks,
            or one for each row.
        title: Title of the plot.
        ylabel: Label of the accuracy axis, with its unit.

    Raises:
        ValueError: ``rows`` is empty, or a baseline does not have one value for each row.
    """
    if not rows:
        raise ValueError('rows is empty: there is nothing to plot')
    # matplotlib's object interface has no global state and needs no display: it is safe to use
    # during training.
    figure = Figure(figsize=(12, 8), dpi=100, layout='constrained')
    axes = figure.subplots()
    draw_lines(axes, rows, [row.accuracy for row in rows])
    draw_colorbar(figure, axes, rows)
    _draw_pareto_front(axes, rows)
    level_styles = cycle(LEVEL_STYLES)
    for name, values in (baselines or {}).items():
        draw_baseline(axes, rows, name, values, level_styles)
    style_axes(axes, rows, ylabel)
    axes.set_title(title, fontsize=15, pad=12)
    _draw_names(axes, rows)
    # Below the axes, because points can fill every corner inside them.
    figure.legend(loc='outside lower center', ncols=6, fontsize=11, frameon=False)
    figure.savefig(path)


Row = TypeVar('Row', bound=FrontierRow)


def pareto_front(rows: Sequence[Row]) -> list[Row]:
    """Select the Pareto front: rows more accurate than all others of at most their size.

    Args:
        rows: Results in any order.

    Returns:
        Rows from small to large.

    Example:
        >>> from poa_mm.evaluation import KnnRow
        >>> rows = [
        ...     KnnRow(f'w{width}-d12', '', width, 12, params, 'cls', {20: accuracy})
        ...     for width, params, accuracy in [(64, 1, 50.0), (128, 2, 49.0), (192, 3, 60.0)]
        ... ]
        >>> [row.subnet for row in pareto_front(rows)]
        ['w64-d12', 'w192-d12']
    """
    best = float('-inf')
    front = []
    for row in sorted(rows, key=lambda row: (row.params, -row.accuracy)):
        if row.accuracy > best:
            best = row.accuracy
            front.append(row)
    return front


def draw_baseline(
    axes: Axes,
    rows: Sequence[SubnetRow],
    name: str,
    values: float | Sequence[float],
    level_styles: Iterator[str],
) -> None:
    """Draw a horizontal line for a single value, or dashed lines like those of the rows."""
    if isinstance(values, Sequence):
        if len(values) != len(rows):
            raise ValueError(f'baseline {name!r} has {len(values)} values for {len(rows)} rows')
        for number, (_, indices) in enumerate(subnet_lines(rows)):
            axes.plot(
                [millions(rows[i]) for i in indices],
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
    """Draw rings around the rows of the Pareto front."""
    front = pareto_front(rows)
    axes.plot(
        [millions(row) for row in front],
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
    """Write names above or below the lines, as near to the points as there is room."""
    axes.autoscale_view()  # matplotlib would set the limits later; they are needed here
    to_axes = axes.transScale + axes.transLimits
    lines = [
        to_axes.transform([(millions(rows[i]), rows[i].accuracy) for i in indices])
        for _, indices in subnet_lines(rows)
    ]
    written: list[tuple[float, float, float]] = []  # centre and half width
    for row in rows:
        if not row.name:
            continue
        text = f'{row.name}  {row.accuracy:.1f}'
        x, y = to_axes.transform((millions(row), row.accuracy))
        half = 0.006 * len(text)
        x_text = min(max(x, half), 1 - half)
        span = np.linspace(x_text - half, x_text + half, 25)
        heights = [np.interp(span, line[:, 0], line[:, 1], left=y, right=y) for line in lines]
        taken = [level for centre, level, w in written if abs(x_text - centre) < half + w]
        y_text = _free_height(y, float(np.min(heights)), float(np.max(heights)), taken)
        written.append((x_text, y_text, half))
        axes.annotate(
            text,
            (millions(row), row.accuracy),
            xytext=(x_text, y_text),
            textcoords='axes fraction',
            ha='center',
            va='center',
            fontsize=12,
            fontweight='bold',
            path_effects=[patheffects.withStroke(linewidth=3, foreground='white')],
            arrowprops={'arrowstyle': '-', 'color': '0.3', 'shrinkB': 5},
            zorder=5,
        )


def _free_height(y: float, bottom: float, top: float, taken: Sequence[float]) -> float:
    """Find a height for a text outside ``bottom``…``top``, clear of other texts and near ``y``."""
    steps = TEXT_HEIGHT * np.arange(1, 20)
    heights = sorted((*(top + steps), *(bottom - steps)), key=lambda height: abs(height - y))
    free = [h for h in heights if all(abs(h - other) >= TEXT_HEIGHT for other in taken)]
    inside = [h for h in free if TEXT_HEIGHT / 2 < h < 1 - TEXT_HEIGHT / 2]
    return (inside or free or heights)[0]
