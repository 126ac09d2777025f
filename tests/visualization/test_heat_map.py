"""The map of depths by widths shows every number in its cell."""

import pytest
from matplotlib.figure import Figure
from PIL import Image

from poa_mm.evaluation import KnnRow
from poa_mm.visualization import plot_heat_map


def row(width, depth, accuracy, name=''):
    return KnnRow(f'w{width}-d{depth}', name, width, depth, 1, 'cls', {20: accuracy})


@pytest.fixture
def axes(tmp_path, monkeypatch):
    """Draws rows, and returns the axes that were saved."""
    figures = []
    save = Figure.savefig
    monkeypatch.setattr(
        Figure, 'savefig', lambda self, path: (figures.append(self), save(self, path))
    )

    def draw(rows, name='map.png'):
        plot_heat_map(rows, tmp_path / name)
        Image.open(tmp_path / name).verify()
        return figures[-1].axes[0]

    return draw


def test_every_number_is_in_its_cell(axes):
    rows = [row(64, 3, 50.04), row(32, 2, 40.0), row(64, 2, 45.5, 'vit-s')]
    drawn = axes(rows)
    found = {text.get_position(): text.get_text() for text in drawn.texts}
    assert found == {(0, 0): '40.0', (1, 0): '45.5', (1, 0.32): 'vit-s', (1, 1): '50.0'}
    assert [label.get_text() for label in drawn.get_xticklabels()] == ['32', '64']
    assert [label.get_text() for label in drawn.get_yticklabels()] == ['2', '3']
    named, best = drawn.patches
    assert named.get_xy() == (0.5, -0.5)
    assert best.get_xy() == pytest.approx((0.57, 0.57))


def test_depths_of_stages(axes):
    drawn = axes([row(64, (3, 4), 50.0), row(64, (2, 6), 40.0), row(64, (2, 4), 40.0)])
    assert [label.get_text() for label in drawn.get_yticklabels()] == ['2-4', '3-4', '2-6']


def test_a_single_network(axes):
    assert [text.get_text() for text in axes([row(64, 3, 50.0)]).texts] == ['50.0']


@pytest.mark.parametrize(
    ('accuracies', 'span'), [((12.3, 12.5), (9.9, 14.9)), ((20.0, 70.0), (20.0, 70.0))]
)
def test_close_numbers_have_close_colours(axes, accuracies, span):
    drawn = axes([row(64, depth, value) for depth, value in enumerate(accuracies, 2)])
    assert drawn.images[0].get_clim() == pytest.approx(span)


def test_nothing_to_plot(tmp_path):
    with pytest.raises(ValueError, match='nothing to plot'):
        plot_heat_map([], tmp_path / 'map.png')
