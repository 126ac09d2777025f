"""Dropped patches and shuffled grids, patch by patch."""

import pytest
import torch

from poa_mm.evaluation.robustness.changes import (
    DROPPED_TENTHS,
    SHUFFLE_GRIDS,
    drop_patches,
    num_dropped,
    shuffle_patches,
)


def photographs(batch=4, height=32, width=48):
    """Images in which no two pixels are alike and none is zero."""
    return torch.arange(1.0, batch * 3 * height * width + 1).view(batch, 3, height, width)


def cut(image, rows, columns):
    height, width = image.shape[1] // rows, image.shape[2] // columns
    return [
        image[:, r * height : (r + 1) * height, c * width : (c + 1) * width]
        for r in range(rows)
        for c in range(columns)
    ]


@pytest.mark.parametrize('same', [False, True])
@pytest.mark.parametrize('count', [0, 5, 24])
def test_so_many_whole_patches_are_dropped(count, same):
    images, generator = photographs(), torch.Generator().manual_seed(0)
    dropped = drop_patches(images, (4, 6), count, generator, same_for_batch=same)
    choices = []
    for image, result in zip(images, dropped, strict=True):
        gone = []
        for number, (before, after) in enumerate(
            zip(cut(image, 4, 6), cut(result, 4, 6), strict=True)
        ):
            assert torch.equal(after, before) or not after.any()
            gone += [number] * (not after.any())
        assert len(gone) == count
        choices.append(tuple(gone))
    assert len(set(choices)) == (1 if same or count in (0, 24) else 4)
    assert torch.equal(images, photographs())


@pytest.mark.parametrize('same', [False, True])
@pytest.mark.parametrize('grid', [(1, 1), (2, 4), (4, 2), (16, 16)])
def test_every_patch_is_somewhere_once(grid, same):
    images, generator = photographs(), torch.Generator().manual_seed(0)
    shuffled = shuffle_patches(images, grid, generator, same_for_batch=same)
    orders = []
    for image, result in zip(images, shuffled, strict=True):
        first = {float(patch.flatten()[0]): patch for patch in cut(image, *grid)}
        numbers = list(first)
        order = []
        for patch in cut(result, *grid):
            start = float(patch.flatten()[0])
            assert torch.equal(patch, first[start])
            order.append(numbers.index(start))
        assert sorted(order) == list(range(grid[0] * grid[1]))
        orders.append(tuple(order))
    assert len(set(orders)) == (1 if same or grid == (1, 1) else 4)


def test_the_generator_decides():
    images = photographs()
    for corrupt in (
        lambda g: drop_patches(images, (4, 4), 7, g),
        lambda g: shuffle_patches(images, (4, 4), g),
    ):
        one, other = (corrupt(torch.Generator().manual_seed(seed)) for seed in (3, 3))
        assert torch.equal(one, other)
        assert not torch.equal(one, corrupt(torch.Generator().manual_seed(4)))


def test_the_paper_s_settings_fit_images_of_224_pixels():
    image = torch.rand(1, 3, 224, 224) + 0.1
    for grid in SHUFFLE_GRIDS:
        assert shuffle_patches(image, grid).sum() == pytest.approx(float(image.sum()), rel=1e-4)
    shares = [num_dropped((14, 14), tenths) for tenths in DROPPED_TENTHS]
    assert shares == [0, 19, 39, 58, 78, 98, 117, 137, 156, 176]
    lost = drop_patches(image, (14, 14), shares[-1]) == 0
    assert lost.float().mean() == pytest.approx(176 / 196)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match='5 × 5 patches does not divide images of 32 × 48 pixels'):
        shuffle_patches(photographs(), (5, 5))
    with pytest.raises(ValueError, match=r'count must be in \[0, 4\], got 5'):
        drop_patches(photographs(), (2, 2), 5)
