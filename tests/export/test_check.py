"""Comparing two networks."""

import pytest
import torch

from poa_mm.export.check import largest_difference

SHAPE = (3, 4, 4)


def net(images):
    return images.mean(dim=(2, 3)), 2 * images


def compare(other, tolerance=1e-3, dtype=torch.float32):
    return largest_difference(other, net, SHAPE, tolerance, dtype)


def test_the_difference_is_relative_to_the_largest_output():
    assert compare(net) == 0
    scaled = compare(lambda images: [1.0005 * out for out in net(images)], dtype=torch.float64)
    assert scaled == pytest.approx(5e-4)


def test_every_batch_size_and_output_counts():
    for batch in (1, 3):
        for index in (0, 1):

            def wrong(images, batch=batch, index=index):
                outs = [out.clone() for out in net(images)]
                if len(images) == batch:
                    outs[index][-1] *= 1.5
                return outs

            with pytest.raises(ValueError, match='more than 1e-03; nothing was written'):
                compare(wrong)


def test_nothing_but_numbers_passes():
    with pytest.raises(ValueError, match='by nan of the largest'):
        compare(lambda images: [float('nan') * out for out in net(images)])


def test_other_shapes():
    with pytest.raises(ValueError, match=r'gives \(1, 2\) for 1 images, the sub-network \(1, 3\)'):
        compare(lambda images: (net(images)[0][:, :2], net(images)[1]))
