"""Plot of costs over size for all sub-networks."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from matplotlib.figure import Figure

from poa_mm.visualization.subnet_lines import (
    SubnetRow,
    draw_colorbar,
    draw_lines,
    style_axes,
)

__all__ = ['CostRow', 'plot_profile', 'si_prefix']


class CostRow(SubnetRow, Protocol):
    """Cost of a sub-network, such as :class:`~poa_mm.selection.ProfileRow`."""

    @property
    def flops(self) -> int:
        """Multiply-accumulates for one image."""

    @property
    def activation_bytes(self) -> int:
        """Peak memory of activations during inference on one image."""

    @property
    def training_bytes(self) -> int:
        """Memory of the activations of one image kept for the backward pass."""

    @property
    def latency(self) -> float | None:
        """Seconds of a forward pass, if measured."""


def plot_profile(
    rows: Sequence[CostRow],
    path: str | Path,
    title: str = 'Cost of the sub-networks of one supernet',
    latency_label: str = 'latency (ms)',
) -> None:
    """Plot FLOPs, activation memory and, if measured, latency over parameters.

    Lines are drawn as by :func:`~poa_mm.visualization.plot_frontier`.

    Args:
        rows: The sub-networks' costs, in any order.
        path: Image to write, 1600 x 550 pixels for a ``.png`` or, with latency, 1200 x 900; its
            suffix gives the format. An existing file is replaced.
        title: Title of the plot.
        latency_label: Label of the latency axis, with its unit.

    Raises:
        ValueError: ``rows`` is empty.
    """
    if not rows:
        raise ValueError('rows is empty: there is nothing to plot')
    costs = {
        'FLOPs ({})': [row.flops for row in rows],
        'inference activations ({}B)': [row.activation_bytes for row in rows],
        'training activations ({}B)': [row.training_bytes for row in rows],
    }
    panels = {}
    for label, amounts in costs.items():
        prefix, size = si_prefix(amounts)
        panels[label.format(prefix)] = [amount / size for amount in amounts]
    latencies = [row.latency for row in rows if row.latency is not None]
    if len(latencies) == len(rows):
        panels[latency_label] = [seconds * 1e3 for seconds in latencies]
    figsize, shape = ((12.0, 9.0), (2, 2)) if len(panels) == 4 else ((16.0, 5.5), (1, 3))
    figure = Figure(figsize=figsize, dpi=100, layout='constrained')
    grid: np.ndarray = figure.subplots(*shape)
    for axes, (label, values) in zip(grid.flat, panels.items(), strict=True):
        draw_lines(axes, rows, values)
        style_axes(axes, rows, label)
        axes.set_ylim(bottom=0)
    draw_colorbar(figure, grid, rows)
    figure.suptitle(title, fontsize=15)
    handles, labels = grid.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc='outside lower center', ncols=6, fontsize=11, frameon=False)
    figure.savefig(path)


def si_prefix(amounts: Sequence[float]) -> tuple[str, float]:
    """Choose the SI prefix for the largest of some amounts; return it and its factor.

    Example:
        >>> si_prefix([2.5e9, 3e6])
        ('G', 1000000000)
    """
    prefixes = {'k': 10**3, 'M': 10**6, 'G': 10**9}
    fitting = [pair for pair in prefixes.items() if pair[1] <= max(amounts)]
    return max(fitting or [('', 1)], key=lambda pair: pair[1])
