"""The frontier plot: what it draws, read back from matplotlib's objects and from the file."""

from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from poa_mm.visualization import plot_frontier
from poa_mm.visualization.frontier import pareto_front


@dataclass(frozen=True)
class Row:
    width: int
    depth: int | tuple[int, ...]
    accuracy: float
    name: str = ''

    @property
    def params(self):
        blocks = self.depth if isinstance(self.depth, int) else sum(self.depth)
        return 12 * blocks * self.width**2


@pytest.fixture
def rows():
    """Widths 384-1024 by depths 12, 24, largest first; the middle width of depth 24 falls off."""
    accuracies = {12: [76.0, 80.0, 81.0], 24: [79.0, 78.0, 82.5]}
    names = {(384, 12): 'vit-s', (1024, 24): 'vit-l'}
    return [
        Row(width, depth, accuracies[depth][i], names.get((width, depth), ''))
        for depth in (24, 12)
        for i, width in reversed(list(enumerate((384, 768, 1024))))
    ]


@pytest.fixture
def draw(monkeypatch, tmp_path):
    """Plots and returns the figure that was saved."""
    figures = []
    save = Figure.savefig
    monkeypatch.setattr(
        Figure, 'savefig', lambda self, *args: (figures.append(self), save(self, *args))
    )

    def run(*args, **kwargs):
        plot_frontier(args[0], tmp_path / 'plot.png', *args[1:], **kwargs)
        return figures[-1]

    return run


def lines(figure):
    return {line.get_label(): line for line in figure.axes[0].get_lines()}


def labels(figure):
    return [text for text in figure.axes[0].texts if text.get_text()]


def test_one_line_per_depth_from_narrow_to_wide(draw, rows):
    drawn = lines(draw(rows))
    for depth, accuracies in ((12, [76.0, 80.0, 81.0]), (24, [79.0, 78.0, 82.5])):
        x, y = drawn[f'depth {depth}'].get_data()
        assert list(y) == accuracies
        np.testing.assert_allclose(x, [12e-6 * depth * w**2 for w in (384, 768, 1024)])


def test_rings_are_the_pareto_front(draw, rows):
    x, y = lines(draw(rows))['Pareto front'].get_data()
    # By size: 76 (d12), 79 (d24), 80 (d12), 81 (d12), 78 (d24, beaten), 82.5 (d24).
    assert list(y) == [76.0, 79.0, 80.0, 81.0, 82.5]
    assert list(x) == sorted(x)


def test_names_are_inside_and_clear_of_the_lines(draw, rows):
    figure = draw(rows)
    axes = figure.axes[0]
    assert [text.get_text() for text in labels(figure)] == ['vit-l  82.5', 'vit-s  76.0']
    for text in labels(figure):
        box = text.get_window_extent()
        assert axes.bbox.fully_containsx(box.x0)
        assert axes.bbox.fully_containsx(box.x1)
        assert axes.bbox.fully_containsy(box.y0)
        assert axes.bbox.fully_containsy(box.y1)
        for line in axes.get_lines():
            path = axes.transData.transform_path(line.get_path()).interpolated(100)
            assert not path.intersects_bbox(box, filled=False), line.get_label()


def test_baselines_are_a_level_or_lines_of_their_own(draw, rows):
    untrained = [row.accuracy - 60 for row in rows]
    figure = draw(rows, {'untrained': untrained, 'raw pixels': 12.0, 'normalised pixels': 13.0})
    drawn = lines(figure)
    assert set(drawn['raw pixels'].get_ydata()) == {12.0}
    assert list(drawn['untrained'].get_ydata()) == [16.0, 20.0, 21.0]
    entries = [text.get_text() for text in figure.legends[0].get_texts()]
    assert entries == [
        'depth 12',
        'depth 24',
        'Pareto front',
        'untrained',
        'raw pixels',
        'normalised pixels',
    ]
    assert drawn['raw pixels'].get_linestyle() != drawn['normalised pixels'].get_linestyle()
    with pytest.raises(ValueError, match="'untrained' has 5 values for 6 rows"):
        draw(rows, {'untrained': untrained[1:]})


def test_axes_carry_units_and_a_scale_that_fits(draw, rows):
    figure = draw(rows, title='Mine', ylabel='linear probe (%)')
    axes = figure.axes[0]
    assert axes.get_xlabel() == 'parameters (M)'
    assert axes.get_ylabel() == 'linear probe (%)'
    assert axes.get_title() == 'Mine'
    assert axes.get_xscale() == 'log'
    narrow = draw([Row(64, depth, 50.0 + depth) for depth in (2, 3)])
    assert narrow.axes[0].get_xscale() == 'linear'


def test_many_depths_get_a_colour_bar(draw):
    rows = [
        Row(width, depth, 70 + depth + width / 1000)
        for depth in range(12, 25)
        for width in (384, 448)
    ]
    figure = draw(rows)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ['Pareto front']
    bar = figure.axes[1]
    assert bar.get_ylabel() == 'depth (blocks)'
    assert [tick.get_text() for tick in bar.get_yticklabels()] == [str(d) for d in range(12, 25)]


def test_a_single_subnet_is_enough(draw):
    figure = draw([Row(64, 3, 50.0, 'only')])
    assert [text.get_text() for text in labels(figure)] == ['only  50.0']


def test_image_size_and_no_global_state(rows, tmp_path):
    plot_frontier(rows, tmp_path / 'plot.png')
    assert Image.open(tmp_path / 'plot.png').size == (1200, 800)
    assert plt.get_fignums() == []


def test_nothing_to_plot_is_refused(tmp_path):
    with pytest.raises(ValueError, match='rows is empty'):
        plot_frontier([], tmp_path / 'plot.png')
    assert not (tmp_path / 'plot.png').exists()


def test_stages_make_a_line_of_each_width_and_the_longest_grows_along_it(draw):
    rows = [
        Row(width, (3, second, third, 3), 60 + second + third / 10 + width / 100)
        for third in (6, 8, 7)
        for second in (5, 4)
        for width in (96, 64)
    ]
    figure = draw(rows)
    coloured = [line for line in figure.axes[0].get_lines() if line.get_linestyle() == '-']
    assert len(coloured) == 4
    assert {tuple(np.diff(line.get_ydata()).round(6)) for line in coloured} == {(0.1, 0.1)}
    assert len({tuple(line.get_color()) for line in coloured}) == 2
    entries = [text.get_text() for text in figure.legends[0].get_texts()]
    assert entries == ['width 64', 'width 96', 'Pareto front']


def test_names_do_not_cover_each_other(draw):
    rows = [Row(64, depth, 50.0, f'network-{depth}') for depth in range(20, 26)]
    boxes = [Text.get_window_extent(text) for text in labels(draw(rows))]  # without the arrow
    assert len(boxes) == 6
    for index, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[:index])


def test_pareto_front_is_sorted_by_size():
    rows = [Row(64, 3, 50.0), Row(64, 2, 50.0), Row(64, 4, 49.0), Row(64, 5, 51.0)]
    assert pareto_front(rows) == [rows[1], rows[3]]
    assert pareto_front([]) == []
