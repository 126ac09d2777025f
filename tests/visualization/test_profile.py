"""The plot of costs: what it draws, read back from matplotlib's objects and from the file."""

from dataclasses import dataclass

import matplotlib.pyplot as plt
import pytest
from matplotlib.figure import Figure
from PIL import Image

from poa_mm.visualization import plot_profile
from poa_mm.visualization.profile import si_prefix


@dataclass(frozen=True)
class Row:
    width: int
    depth: int | tuple[int, ...]
    latency: float | None = None
    name: str = ''

    @property
    def params(self):
        return (
            12 * sum((self.depth,) if isinstance(self.depth, int) else self.depth) * self.width**2
        )

    @property
    def flops(self):
        return 200 * self.params

    @property
    def activation_bytes(self):
        return 10**6 * self.width

    @property
    def training_bytes(self):
        return 10**4 * self.width * self.params


@pytest.fixture
def draw(monkeypatch, tmp_path):
    """Plots and returns the figure that was saved."""
    figures = []
    save = Figure.savefig
    monkeypatch.setattr(
        Figure, 'savefig', lambda self, *args: (figures.append(self), save(self, *args))
    )

    def run(rows, **kwargs):
        plot_profile(rows, tmp_path / 'plot.png', **kwargs)
        return figures[-1]

    return run


def test_each_cost_has_a_panel(draw, tmp_path):
    rows = [Row(width, depth) for depth in (2, 3) for width in (64, 32)]
    figure = draw(rows, title='Mine')
    assert Image.open(tmp_path / 'plot.png').size == (1600, 550)
    assert figure.get_suptitle() == 'Mine'
    labels = [axes.get_ylabel() for axes in figure.axes]
    assert labels == ['FLOPs (M)', 'inference activations (MB)', 'training activations (GB)']
    for axes, cost in zip(
        figure.axes,
        (
            lambda row: row.flops / 1e6,
            lambda row: row.activation_bytes / 1e6,
            lambda row: row.training_bytes / 1e9,
        ),
        strict=True,
    ):
        (shallow, deep) = axes.get_lines()
        assert list(shallow.get_ydata()) == [cost(rows[1]), cost(rows[0])]
        assert list(deep.get_xdata()) == [rows[3].params / 1e6, rows[2].params / 1e6]
        assert axes.get_ylim()[0] == 0
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ['depth 2', 'depth 3']


def test_latency_is_the_fourth(draw, tmp_path):
    figure = draw([Row(32, 2, 0.02), Row(64, 2, 0.05)], latency_label='ms on a phone')
    assert Image.open(tmp_path / 'plot.png').size == (1200, 900)
    assert figure.axes[3].get_ylabel() == 'ms on a phone'
    assert list(figure.axes[3].get_lines()[0].get_ydata()) == [20, 50]
    assert plt.get_fignums() == []


def test_many_depths_share_one_colour_bar(draw):
    figure = draw([Row(32, depth) for depth in range(12, 25)])
    assert len(figure.axes) == 4
    assert figure.axes[3].get_ylabel() == 'depth (blocks)'


def test_stages_are_drawn_by_width(draw):
    rows = [Row(width, (3, 4, third, 3)) for width in (64, 96) for third in (6, 7, 8)]
    figure = draw(rows)
    assert len(figure.axes[0].get_lines()) == 2
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ['width 64', 'width 96']


def test_nothing_to_plot_is_refused(tmp_path):
    with pytest.raises(ValueError, match='rows is empty'):
        plot_profile([], tmp_path / 'plot.png')
    assert not (tmp_path / 'plot.png').exists()


def test_prefixes_suit_the_largest_amount():
    assert si_prefix([5, 20_000_000]) == ('M', 10**6)
    assert si_prefix([4_600_000_000]) == ('G', 10**9)
    assert si_prefix([999]) == ('', 1)
    assert si_prefix([1000]) == ('k', 1000)
