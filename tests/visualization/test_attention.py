"""Heads' attention in colours: the fewest patches with 60 % of it, and whose they are."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from poa_mm.visualization.attention import (
    AttentionMap,
    leading_heads,
    mass_mask,
    plot_attention,
)
from poa_mm.visualization.canvas import distinct_colours


@given(st.lists(st.floats(0.001, 1), min_size=1, max_size=20), st.floats(0.01, 1, exclude_max=True))
def test_the_fewest_patches_with_the_share(weights, mass):
    mask = mass_mask(np.array(weights), mass)
    ordered, taken = sorted(weights, reverse=True), 0
    while sum(ordered[:taken]) < mass * sum(weights) - 1e-9:
        taken += 1
    assert mask.sum() in (taken, taken + 1)  # rounding at the border
    assert np.array(weights)[mask].min() >= max(np.array(weights)[~mask], default=0)


def test_no_attention_has_no_colour_and_all_of_it_has():
    weights = np.array([[0.5, 0.25, 0.25, 0.0], [0.0, 0.0, 0.0, 0.0]])
    assert mass_mask(weights, 0.6).tolist() == [[True, True, False, False], [False] * 4]
    assert mass_mask(weights, 1.0)[0].tolist() == [True, True, True, False]
    with pytest.raises(ValueError, match=r'within 0…1, got 60'):
        mass_mask(weights, 60)


def test_a_patch_has_the_colour_of_the_head_that_attends_most():
    weights = np.array([[0.7, 0.2, 0.1, 0.0], [0.4, 0.0, 0.1, 0.5]])
    assert leading_heads(weights, 0.6).tolist() == [0, -1, -1, 1]
    assert leading_heads(weights, 0.8).tolist() == [0, 0, -1, 1]


def test_draws_heads_in_their_colours(tmp_path):
    pixels = np.full((40, 60, 3), 255, np.uint8)
    weights = np.zeros((2, 2, 3))
    weights[0, 0, 0] = weights[1, 1, 2] = 1
    maps = [AttentionMap('$a$.png', 'w16-d2', pixels, weights)] * 2
    plot_attention(maps, tmp_path / 'new' / 'drawn.png', 'title')
    with Image.open(tmp_path / 'new' / 'drawn.png') as image:
        found = {colour for _, colour in image.convert('RGB').getcolors(2**16)}
    for colour in distinct_colours(2):
        blended = np.round(255 * (0.65 * colour + 0.35)).astype(int)
        assert any(np.abs(blended - other).max() <= 2 for other in found)
    for suffix in ('svg', 'pdf'):
        plot_attention(maps[:1], tmp_path / f'drawn.{suffix}')
        assert (tmp_path / f'drawn.{suffix}').stat().st_size > 1000
    with pytest.raises(ValueError, match='no attention to draw'):
        plot_attention([], tmp_path / 'none.png')


def test_more_heads_than_colours_have_shades():
    assert len(np.unique(distinct_colours(16), axis=0)) == 16
    assert len(np.unique(distinct_colours(7), axis=0)) == 7
