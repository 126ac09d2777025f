"""Mutual nearest neighbours of patches, written out in loops, and lines between them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from PIL import Image

from poa_mm.visualization.correspondences import (
    Matches,
    mutual_matches,
    patch_centres,
    plot_correspondences,
)


def plainly(one, other, count):
    """Mutual nearest neighbours by cosine similarity, pair by pair."""

    def cosine(a, b):
        return float(a @ b) / (np.sqrt(float(a @ a)) * np.sqrt(float(b @ b)))

    found = []
    for i, a in enumerate(one):
        j = max(range(len(other)), key=lambda j, a=a: cosine(a, other[j]))
        if max(range(len(one)), key=lambda i, j=j: cosine(one[i], other[j])) == i:
            found.append((i, j, cosine(a, other[j])))
    return sorted(found, key=lambda pair: -pair[2])[:count]


@given(st.integers(0, 2**16), st.integers(1, 12), st.integers(1, 12), st.integers(1, 6))
def test_pairs_are_those_of_plain_loops(seed, first, second, count):
    rng = np.random.default_rng(seed)
    one, other = rng.normal(size=(first, 4)), rng.normal(size=(second, 4))
    pairs, similarity = mutual_matches(one.astype(np.float32), other.astype(np.float32), count)
    expected = plainly(one, other, count)
    assert pairs.tolist() == [[i, j] for i, j, _ in expected]
    values = [value for *_, value in expected]
    # Cosines near zero are differences of numbers near one, in float32.
    np.testing.assert_allclose(similarity, values, rtol=1e-5, atol=1e-6)


def test_an_image_matches_itself():
    tokens = np.random.default_rng(0).normal(size=(6, 5))
    pairs, similarity = mutual_matches(tokens, 3 * tokens, 10)
    assert sorted(pairs.tolist()) == [[i, i] for i in range(6)]
    assert similarity == pytest.approx(1)


def test_lines_end_at_the_patches(tmp_path, monkeypatch):
    saved = []
    save = Figure.savefig
    monkeypatch.setattr(
        Figure, 'savefig', lambda self, *a, **k: (saved.append(self), save(self, *a, **k))
    )
    images = np.zeros((20, 40, 3), np.uint8), np.zeros((30, 30, 3), np.uint8)
    left = patch_centres(np.array([0, 7]), (2, 4), (20, 40))
    right = patch_centres(np.array([8, 0]), (3, 3), (30, 30))
    found = [Matches('w16-d2', left, right, np.array([0.9, 0.5]))] * 2
    plot_correspondences(images, found, tmp_path / 'drawn.png', 'title')
    Image.open(tmp_path / 'drawn.png').verify()
    axes, *_, bar = saved[0].axes
    last = axes.lines[-1].get_xydata()  # the most similar pair, on top: images are 1 high
    np.testing.assert_allclose(last, [[5 / 20, 5 / 20], [2.1 + 25 / 30, 25 / 30]])
    assert bar.get_ylabel() == 'cosine similarity of the patches'
    with pytest.raises(ValueError, match='no correspondences'):
        plot_correspondences(images, [], tmp_path / 'none.png')


def test_no_pair_is_no_error(tmp_path):
    none = Matches('net', np.zeros((0, 2)), np.zeros((0, 2)), np.zeros(0))
    images = np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8, 3), np.uint8)
    plot_correspondences(images, [none], tmp_path / 'drawn.png')
    Image.open(tmp_path / 'drawn.png').verify()
