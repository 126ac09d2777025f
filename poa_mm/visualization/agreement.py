"""Plot of measures without labels against an accuracy with labels."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure

__all__ = ['plot_agreement']

# As their papers write them.
MEASURES = {'rankme': 'RankMe', 'lidar': 'LiDAR', 'alpha_req': 'α-ReQ'}


def plot_agreement(
    path: str | Path,
    accuracies: Mapping[str, float],
    measures: Mapping[str, Mapping[str, float]],
    titles: Mapping[str, str],
    groups: Mapping[str, int | str],
    ylabel: str = 'k-NN top-1 accuracy (%)',
    group: str = 'width',
) -> None:
    """Plot the accuracy of networks over each measure, side by side.

    Args:
        path: Image to write, 500 x 600 pixels a measure for a ``.png``; its suffix gives the
            format. An existing file is replaced.
        accuracies: In percent by network.
        measures: Values by network, by measure.
        titles: Text above each plot, such as its correlation, by measure.
        groups: What gives networks their colour, such as the width, by network.
        ylabel: Label of the accuracy axis, with its unit.
        group: What networks of a colour have in common.

    Raises:
        ValueError: There is no network with an accuracy.
    """
    if not accuracies or not measures:
        raise ValueError('there is nothing to plot')
    figure = Figure(figsize=(5 * len(measures), 6), dpi=100, layout='constrained')
    panels: Sequence = figure.subplots(1, len(measures), sharey=True, squeeze=False)[0]
    # Numbers by size, and names after them.
    kinds = sorted(set(groups.values()), key=lambda kind: (isinstance(kind, str), kind))
    colors = colormaps['viridis'](np.linspace(0, 0.9, len(kinds)))
    for axes, (name, values) in zip(panels, measures.items(), strict=True):
        for kind, color in zip(kinds, colors, strict=True):
            members = [
                network
                for network in values
                if network in accuracies and groups.get(network) == kind
            ]
            axes.scatter(
                [values[network] for network in members],
                [accuracies[network] for network in members],
                s=40,
                color=color,
                label=str(kind) if axes is panels[0] else None,
            )
        axes.set_xlabel(MEASURES.get(name, name), fontsize=13)
        axes.set_title(titles.get(name, ''), fontsize=12)
        axes.grid(color='0.9')
        axes.set_axisbelow(True)
        axes.spines[['top', 'right']].set_visible(False)
    panels[0].set_ylabel(ylabel, fontsize=13)
    figure.legend(loc='outside lower center', ncols=8, title=group, fontsize=11, frameon=False)
    figure.savefig(path)
