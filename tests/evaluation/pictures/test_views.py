"""Places in two views of a photograph are known."""

import numpy as np
import pytest
from PIL import Image, ImageOps

from poa_mm.evaluation.pictures import views
from poa_mm.evaluation.pictures.views import two_views


@pytest.mark.parametrize('seed', range(4))
def test_points_of_views_are_where_the_photograph_says(seed, monkeypatch):
    """Red and green of the photograph tell x and y."""
    monkeypatch.setattr(views, 'BRIGHTNESS', (1.0, 1.0))
    x, y = np.meshgrid(np.arange(200), np.arange(120))
    photo = Image.fromarray(np.stack([x, y, 0 * x], axis=-1).astype(np.uint8))
    pair = two_views(photo, seed)
    assert [view.mirrored for view in pair] == [False, True]
    for view in pair:
        size = (64, 96)
        resized = np.asarray(ImageOps.fit(view.image, size[::-1], Image.Resampling.BILINEAR))
        points = np.array([[20, 30], [48, 32], [80, 50]])
        found = view.in_photo(points + 0.5, size) - 0.5
        np.testing.assert_allclose(found, resized[points[:, 1], points[:, 0], :2], atol=1.5)


def test_views_overlap_and_depend_on_the_seed():
    photo = Image.new('RGB', (90, 60), 'white')
    for seed in range(20):
        one, other = two_views(photo, seed)
        assert max(one.left, other.left) < min(v.left + v.image.width for v in (one, other))
        assert max(one.top, other.top) < min(v.top + v.image.height for v in (one, other))
    assert two_views(photo, 1)[0].left == two_views(photo, 1)[0].left
    assert len({two_views(photo, seed)[0].image.size for seed in range(9)}) > 3
