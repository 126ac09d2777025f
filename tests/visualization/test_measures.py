"""The plot of measures has a panel for each, with its baselines and a scale that fits."""

import pytest
from matplotlib.figure import Figure

from poa_mm.evaluation import KnnRow
from poa_mm.visualization import plot_measures

ROWS = [KnnRow(f'w{n}-d2', '', n, 2, n * 10**6, 'cls', {20: 0.0}) for n in (16, 32)]


def test_a_panel_for_each_measure(tmp_path, monkeypatch):
    figures = []
    monkeypatch.setattr(Figure, 'savefig', lambda self, path: figures.append(self))
    baselines = {'rankme': {'untrained network': [5.0, 6.0], 'raw pixels': 300.0}}
    plot_measures(ROWS, tmp_path / 'x.png', {'rankme': [9, 20], 'alpha_req': [1.1, 1.4]}, baselines)
    rankme, alpha = figures[0].axes
    assert [axes.get_ylabel() for axes in (rankme, alpha)] == ['RankMe', 'α-ReQ']
    drawn = {line.get_label(): list(line.get_ydata()) for line in rankme.lines}
    assert drawn == {
        'depth 2': [9, 20],
        'untrained network': [5.0, 6.0],
        'raw pixels': [300.0, 300.0],
    }
    assert (rankme.get_yscale(), alpha.get_yscale()) == ('log', 'linear')


def test_nothing_to_plot(tmp_path):
    with pytest.raises(ValueError, match='nothing to plot'):
        plot_measures(ROWS, tmp_path / 'x.png', {})
