"""Rows of small images: what their frames and marks say."""

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from poa_mm.visualization.galleries import GalleryRow, Tile, plot_gallery

PIXELS = np.zeros((8, 8, 3), np.uint8)


def test_frames_marks_and_boxes(tmp_path, monkeypatch):
    saved = []
    save = Figure.savefig
    monkeypatch.setattr(
        Figure, 'savefig', lambda self, *a, **k: (saved.append(self), save(self, *a, **k))
    )
    tiles = [
        Tile(PIXELS, 'query'),
        Tile(PIXELS, '0.9 a', same=True),
        Tile(PIXELS, '0.8 $b$', same=False),
    ]
    boxed = Tile(PIXELS, 'c', box=(0.25, 0.5, 0.5, 0.75))
    rows = [GalleryRow('w16', tiles), GalleryRow('w32', [boxed])]
    plot_gallery(rows, tmp_path / 'drawn.png', 'title', ['query', '1'], '✓ ✗')
    Image.open(tmp_path / 'drawn.png').verify()
    axes = saved[0].axes
    assert [one.get_xlabel() for one in axes[:4]] == ['query', '✓ 0.9 a', '✗ 0.8 $b$', 'c']
    edges = [one.spines['left'].get_edgecolor() for one in axes[1:3]]
    styles = [one.spines['left'].get_linestyle() for one in axes[1:3]]
    assert edges[0] != edges[1]
    assert styles[0] != styles[1]
    frame = axes[3].patches[-1]
    assert (frame.get_xy(), frame.get_width(), frame.get_height()) == ((1.5, 3.5), 2.0, 2.0)
    assert [one.get_ylabel() for one in (axes[0], axes[3])] == ['w16', 'w32']
    with pytest.raises(ValueError, match='no images to draw'):
        plot_gallery([], tmp_path / 'none.png')
