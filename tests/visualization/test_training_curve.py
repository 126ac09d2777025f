"""The plot of accuracies over a run."""

import pytest
from PIL import Image

from poa_mm.visualization import plot_training_curve


def test_writes_an_image_of_every_curve(tmp_path):
    plain, both = tmp_path / 'plain.png', tmp_path / 'both.png'
    curve = [(100, 40.0), (200, 50.0)]
    plot_training_curve({'vit-s': curve}, plain)
    plot_training_curve({'vit-s': curve, 'vit-l': [(200, 60.0), (100, 45.0)]}, both)
    with Image.open(plain) as one, Image.open(both) as two:
        assert one.size == two.size == (1200, 800)
        assert one.tobytes() != two.tobytes()
        assert len(set(two.convert('RGB').getdata())) > len(set(one.convert('RGB').getdata()))


def test_nothing_to_draw(tmp_path):
    with pytest.raises(ValueError, match='nothing to plot'):
        plot_training_curve({'vit-s': []}, tmp_path / 'empty.png')
    assert not (tmp_path / 'empty.png').exists()
