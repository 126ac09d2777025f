"""Plot of measures without labels over size for all sub-networks."""

from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from poa_mm.visualization.agreement import MEASURES
from poa_mm.visualization.frontier import LEVEL_STYLES, draw_baseline
from poa_mm.visualization.subnet_lines import SubnetRow, draw_colorbar, draw_lines, style_axes

__all__ = ['plot_measures']

WIDE = 4  # from the smallest to the largest value, above which the scale is logarithmic


def plot_measures(
    rows: Sequence[SubnetRow],
    path: str | Path,
    measures: Mapping[str, Sequence[float]],
    baselines: Mapping[str, Mapping[str, float | Sequence[float]]] | None = None,
    title: str = 'Sub-networks of one pre-trained supernet',
) -> None:
    """Plot each measure over parameters, side by side, with lines as in the frontier plot.

    Args:
        rows: The sub-networks, in any order.
        path: Image to write, 550 x 600 pixels a measure for a ``.png``; its suffix gives the
            format. An existing file is replaced.
        measures: Values of the rows by measure.
        baselines: By measure and name, drawn in grey: one value, or one for each row.
        title: Title of the plot.

    Raises:
        ValueError: There are no rows or no measures.
    """
    if not rows or not measures:
        raise ValueError('there is nothing to plot')
    figure = Figure(figsize=(5.5 * len(measures), 6), dpi=100, layout='constrained')
    panels = figure.subplots(1, len(measures), squeeze=False)
    named: dict = {}
    for axes, (name, values) in zip(panels[0], measures.items(), strict=True):
        draw_lines(axes, rows, values)
        styles = cycle(LEVEL_STYLES)
        for baseline, found in (baselines or {}).get(name, {}).items():
            draw_baseline(axes, rows, baseline, found, styles)
        style_axes(axes, rows, MEASURES.get(name, name))
        drawn = np.concatenate([line.get_ydata() for line in axes.lines])
        # Pixels have many more dimensions than features, and RankMe grows with them.
        if drawn.min() > 0 and drawn.max() > WIDE * drawn.min():
            axes.set_yscale('log')
            axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5, 7)))
            axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f'{value:g}'))
            axes.yaxis.set_minor_locator(NullLocator())
        handles, labels = axes.get_legend_handles_labels()
        named |= dict(zip(labels, handles, strict=True))
    draw_colorbar(figure, panels, rows)
    figure.suptitle(title, fontsize=14)
    handles, labels = list(named.values()), list(named)
    figure.legend(handles, labels, loc='outside lower center', ncols=6, fontsize=11, frameon=False)
    figure.savefig(path)
