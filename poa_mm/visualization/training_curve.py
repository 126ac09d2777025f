"""Plot of accuracy over a pre-training run (as the paper's Fig. 7)."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

__all__ = ['plot_training_curve']


def plot_training_curve(
    curves: Mapping[str, Sequence[tuple[int, float]]],
    path: str | Path,
    ylabel: str = 'k-NN top-1 accuracy (%)',
) -> None:
    """Plot accuracy over iterations, one line per sub-network, with its last value in the legend.

    Args:
        curves: Points (iteration, accuracy in percent) by name of the sub-network.
        path: Image to write, 1200 x 800 pixels for a ``.png``; its suffix gives the format.
            An existing file is replaced.
        ylabel: Label of the accuracy axis, with its unit.

    Raises:
        ValueError: There is no point.
    """
    curves = {name: sorted(points) for name, points in curves.items() if points}
    if not curves:
        raise ValueError('curves is empty: there is nothing to plot')
    figure = Figure(figsize=(12, 8), dpi=100, layout='constrained')
    axes = figure.subplots()
    # The end of viridis is too light for thin lines on white.
    colors = colormaps['viridis'](np.linspace(0, 0.9, len(curves)))
    for color, (name, points) in zip(colors, curves.items(), strict=True):
        iterations, accuracies = zip(*points, strict=True)
        label = f'{name}  {accuracies[-1]:.1f}'
        axes.plot(iterations, accuracies, marker='o', markersize=4, color=color, label=label)
    axes.set_xlabel('iteration', fontsize=13)
    axes.set_ylabel(ylabel, fontsize=13)
    axes.set_title('Sub-networks of the teacher during pre-training', fontsize=15, pad=12)
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    axes.tick_params(labelsize=11)
    axes.grid(color='0.9')
    axes.set_axisbelow(True)
    axes.spines[['top', 'right']].set_visible(False)
    figure.legend(loc='outside lower center', ncols=6, fontsize=11, frameon=False)
    figure.savefig(path)
