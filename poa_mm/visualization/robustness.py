"""Plot of accuracy over the strength of corruptions (as the paper's Fig. 5)."""

from collections.abc import Mapping
from itertools import cycle
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure

__all__ = ['Curves', 'plot_robustness']

BASELINE_STYLES = ('--', '-.', (0, (8, 3)))  # dots are of chance
MAX_LEGEND = 12  # names; of more networks, some are named
Curves = Mapping[str, Mapping[float, float]]  # accuracy in percent by strength, by network


def plot_robustness(
    path: str | Path,
    dropped: Curves,
    shuffled: Curves,
    title: str = 'Accuracy on corrupted images',
    chance: float | None = None,
    baselines: Mapping[str, tuple[Curves, Curves]] | None = None,
) -> None:
    """Plot accuracy over the share of dropped patches and over the number of shuffled pieces.

    Args:
        path: Image to write, 1400 x 700 pixels for a ``.png``; its suffix gives the format. An
            existing file is replaced.
        dropped: Accuracies by share of dropped patches in percent, by network.
        shuffled: Accuracies by number of pieces, by network; 1 is the whole image.
        title: Title of the plot.
        chance: Accuracy in percent of a blind guess, drawn as a line; ``None`` draws none.
        baselines: Such curves, dropped and shuffled, by the name of the baseline, drawn in grey
            dashes.

    Raises:
        ValueError: There is nothing to plot.
    """
    if not any(dropped.values()) and not any(shuffled.values()):
        raise ValueError('there is no accuracy to plot')
    figure = Figure(figsize=(14, 7), dpi=100, layout='constrained')
    left, right = figure.subplots(1, 2, sharey=True)
    names = list(dict.fromkeys([*dropped, *shuffled]))
    # The end of viridis is too light for thin lines on white.
    colors = dict(zip(names, colormaps['viridis'](np.linspace(0, 0.9, len(names))), strict=True))
    told = names[:: -(-len(names) // MAX_LEGEND)]
    for axes, curves, xlabel in (
        (left, dropped, 'dropped patches (%)'),
        (right, shuffled, 'pieces that are shuffled'),
    ):
        for name, points in curves.items():
            strengths = sorted(points)
            axes.plot(
                strengths,
                [points[x] for x in strengths],
                marker='o',
                markersize=4,
                color=colors[name],
                label=name if name in told and (axes is left or name not in dropped) else None,
            )
        for style, (name, both) in zip(cycle(BASELINE_STYLES), (baselines or {}).items()):
            for number, points in enumerate(both[axes is right].values()):
                strengths = sorted(points)
                label = name if axes is left and not number else None
                values = [points[x] for x in strengths]
                axes.plot(strengths, values, linestyle=style, color='0.5', label=label)
        if chance is not None:
            axes.axhline(chance, linestyle=':', color='0.55', label='chance' * (axes is left))
        axes.set_xlabel(xlabel, fontsize=13)
        axes.tick_params(labelsize=11)
        axes.grid(color='0.9')
        axes.set_axisbelow(True)
        axes.spines[['top', 'right']].set_visible(False)
    left.set_ylabel('top-1 accuracy (%)', fontsize=13)
    pieces = sorted({strength for points in shuffled.values() for strength in points})
    right.set_xscale('log', base=2)
    right.set_xticks(pieces, [f'{number:g}' for number in pieces], rotation=45)
    right.minorticks_off()
    figure.suptitle(title, fontsize=15)
    figure.legend(loc='outside lower center', ncols=6, fontsize=11, frameon=False)
    figure.savefig(path)
