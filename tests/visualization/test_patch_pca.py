"""Principal components of patches as colours, over all images together."""

import numpy as np
import pytest
from PIL import Image
from sklearn.decomposition import PCA

from poa_mm.visualization.patch_pca import (
    foreground_patches,
    patch_colours,
    plot_patch_colours,
)

RNG = np.random.default_rng(0)


def test_components_are_those_of_all_patches_of_all_images():
    tokens = [RNG.normal(size=(2, 3, 5)), 3 + RNG.normal(size=(4, 1, 5))]
    rows = np.concatenate([one.reshape(-1, 5) for one in tokens])
    found = patch_colours(tokens)
    reference = PCA(3).fit(rows)
    np.testing.assert_allclose(found.shares, reference.explained_variance_ratio_, rtol=1e-9)
    assert [one.shape for one in found.colours] == [(2, 3, 3), (4, 1, 3)]
    colours = np.concatenate([one.reshape(-1, 3) for one in found.colours])
    assert colours.min() == 0
    assert colours.max() == 1
    for channel, score in zip(colours.T, reference.transform(rows).T, strict=True):
        inner = (channel > 0) & (channel < 1)  # the ends are cut
        assert abs(np.corrcoef(channel[inner], score[inner])[0, 1]) == pytest.approx(1)


def test_fewer_channels_than_colours_and_equal_patches():
    assert not patch_colours([RNG.normal(size=(2, 2, 2))]).shares[2]
    assert not patch_colours([np.ones((2, 2, 4))]).colours[0].any()
    with pytest.raises(ValueError, match='two patches'):
        patch_colours([np.ones((1, 1, 4))])


@pytest.mark.parametrize('sign', [1, -1])
def test_the_foreground_is_what_lies_less_along_the_edges(sign):
    tokens = 0.1 * RNG.normal(size=(6, 6, 8))
    tokens[2:4, 2:5] += 4 * sign
    (mask,) = foreground_patches([tokens])
    expected = np.zeros((6, 6), bool)
    expected[2:4, 2:5] = True
    assert (mask == expected).all()
    found = patch_colours([tokens], foreground=True).colours[0]
    assert (np.isnan(found).any(axis=-1) == ~expected).all()
    inside = PCA(3).fit(tokens[expected]).explained_variance_ratio_
    np.testing.assert_allclose(patch_colours([tokens], True).shares, inside, rtol=1e-9)


def test_draws_a_column_for_each_network(tmp_path):
    pixels = np.zeros((20, 30, 3), np.uint8)
    tokens = [RNG.normal(size=(2, 3, 5))]
    networks = {'w16-d2': patch_colours(tokens), 'w32-d4': patch_colours(tokens, True)}
    plot_patch_colours([('a.png', pixels)], networks, tmp_path / 'drawn.png', 'title')
    Image.open(tmp_path / 'drawn.png').verify()
    with pytest.raises(ValueError, match='no colours'):
        plot_patch_colours([], networks, tmp_path / 'none.png')
