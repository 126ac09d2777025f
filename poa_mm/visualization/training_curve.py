"""Plot of accuracy over a pre-training run (as the paper's Fig. 7)."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

__all__ = ['plot_training_curve', 'read_curves']

PREFIX = 'knn/'  # of the scalars that KnnMonitorHook writes
SCALARS = '*/vis_data/scalars.json'  # in the folder of a run, one for each time it was started


def read_curves(run: str | Path) -> dict[str, list[tuple[int, float]]]:
    """Read the k-NN accuracy of sub-networks over a run, as KnnMonitorHook has logged it.

    Args:
        run: Folder of the run, or one ``scalars.json`` of it. Where a run was resumed, what was
            logged after the step from which it went on does not count.

    Returns:
        Points (iteration, accuracy in percent) by name of the sub-network.

    Raises:
        FileNotFoundError: Nothing was logged there.
        ValueError: A file of another kind, or a run without a k-NN monitor.
    """
    run = Path(run)
    files = sorted(run.glob(SCALARS)) if run.is_dir() else [run]
    if not files or not files[0].is_file():
        raise FileNotFoundError(f'no {SCALARS if run.is_dir() else "scalars.json"} at {run}')
    curves: dict[str, dict[int, float]] = defaultdict(dict)
    for file in files:
        logged = _read_lines(file)
        start = min((int(line['step']) for line in logged if 'step' in line), default=0)
        for points in curves.values():
            for step in [step for step in points if step >= start]:
                del points[step]
        for line in logged:
            for key, value in line.items():
                if key.startswith(PREFIX) and 'step' in line:
                    curves[key.removeprefix(PREFIX)][int(line['step'])] = float(value)
    found = {name: sorted(points.items()) for name, points in curves.items() if points}
    if not found:
        raise ValueError(f'{run} has no k-NN accuracy: train with KnnMonitorHook in custom_hooks')
    return found


def _read_lines(file: Path) -> list[dict]:
    try:
        lines = [json.loads(line) for line in file.read_text(encoding='utf-8').splitlines()]
    except ValueError as error:
        raise ValueError(f'{file} is no scalars.json of a run: {error}') from error
    if not all(isinstance(line, dict) for line in lines):
        raise ValueError(f'{file} is no scalars.json of a run')
    return lines


def plot_training_curve(
    curves: Mapping[str, Sequence[tuple[int, float]]],
    path: str | Path,
    ylabel: str = 'k-NN top-1 accuracy (%)',
    title: str = 'Sub-networks of the teacher during pre-training',
) -> None:
    """Plot accuracy over iterations, one line per sub-network, with its last value in the legend.

    Args:
        curves: Points (iteration, accuracy in percent) by name of the sub-network.
        path: Image to write, 1200 x 800 pixels for a ``.png``; its suffix gives the format.
            An existing file is replaced.
        ylabel: Label of the accuracy axis, with its unit.
        title: Title of the plot.

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
    axes.set_title(title, fontsize=15, pad=12, parse_math=False)
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    axes.tick_params(labelsize=11)
    axes.grid(color='0.9')
    axes.set_axisbelow(True)
    axes.spines[['top', 'right']].set_visible(False)
    figure.legend(loc='outside lower center', ncols=6, fontsize=11, frameon=False)
    figure.savefig(path, format=Path(path).suffix.removeprefix('.'))
