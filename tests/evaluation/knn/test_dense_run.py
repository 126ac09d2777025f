"""Pixels as patch tokens, beside networks on the same patches."""

import torch
from tiny.families import build, images

from poa_mm.evaluation import MeasuredSupernet
from poa_mm.evaluation.knn.dense_run import PixelPatches


def test_pixels_of_patches_are_slices_of_the_image():
    batch = images('vit', batch=2)
    measured = MeasuredSupernet(build('vit'))
    ((_, tokens),) = PixelPatches(measured).tokens(batch)
    ((_, expected),) = measured.tokens(batch, measured.networks[:1])
    assert tokens.grid == expected.grid
    side = batch.shape[-1] // tokens.grid[1]
    for number, patch in enumerate(tokens.patches.unbind(1)):
        row, column = divmod(number, tokens.grid[1])
        pixels = batch[:, :, row * side :, column * side :][:, :, :side, :side]
        assert torch.equal(patch, pixels.flatten(1))


def test_images_that_the_grid_does_not_divide_are_enlarged():
    pixels = PixelPatches(MeasuredSupernet(build('vit')))
    rows, columns = pixels.grid
    flat = torch.full((1, 3, 4 * rows + 1, 4 * columns), 0.5)
    ((_, tokens),) = pixels.tokens(flat)
    assert tokens.patches.shape == (1, rows * columns, 3 * 5 * 4)
    assert torch.equal(tokens.patches, torch.full_like(tokens.patches, 0.5))
