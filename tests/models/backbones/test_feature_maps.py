"""Where masks hide an image and which patch is whose token, in maps that shrink (App. C.3)."""

import functools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny.families import build

from poa_mm.models.backbones import finer_tokens, upsampled_mask

FAMILIES = ('swin', 'resnet')
STEM, PATCH = 4, 16  # pixels that a place of the stem's map and a patch span in each direction


class Reached(Exception):  # noqa: N818  # nothing is wrong
    """Ends a forward pass at the first block, with what that gets."""


def stem_of(net, images, masks=None):
    """What the first block gets, as a map (B, D, h, w)."""

    def stop(_, arguments):
        raise Reached(*arguments)

    handle = next(iter(net.blocks)).register_forward_pre_hook(stop)
    with pytest.raises(Reached) as reached:
        net.tokens(images, 'smallest', masks)
    handle.remove()
    x, size, *_ = reached.value.args
    return x if x.ndim == 4 else x.transpose(1, 2).unflatten(2, size)


@functools.cache
def masked(family):
    """A supernet whose mask token no image has."""
    net = build(family, with_mask_token=True)
    with torch.no_grad():
        net.mask_token.fill_(9.0)
    return net


@pytest.mark.parametrize('family', FAMILIES)
@settings(deadline=None, max_examples=25)
@given(data=st.data())
def test_each_mask_hides_its_own_pixels(family, data):
    """A place of the stem is hidden by the mask of the patch that its pixels are in."""
    net = masked(family)
    sides = st.sampled_from([28, 32, 33, 36, 40, 48, 64, 68, 72, 96, 100])
    height, width = data.draw(sides), data.draw(sides)
    rows, columns = grid = net.mask_grid(height, width)
    assert grid == (-(-height // PATCH), -(-width // PATCH))
    patches = torch.eye(rows * columns, dtype=torch.bool)  # one in each image
    with torch.no_grad():
        stem = stem_of(net, torch.zeros(len(patches), 3, height, width), patches)
    hidden = (stem == 9).all(dim=1)
    assert hidden.shape[1:] == (-(-height // STEM), -(-width // STEM))
    owner = (
        torch.arange(hidden.shape[1])[:, None] * STEM // PATCH * columns
        + torch.arange(hidden.shape[2]) * STEM // PATCH
    )
    assert torch.equal(hidden, owner == torch.arange(len(patches))[:, None, None])
    assert hidden.flatten(1).any(dim=1).all(), 'a patch that hides nothing'


@pytest.mark.parametrize('family', FAMILIES)
@pytest.mark.parametrize(('height', 'width'), [(36, 72), (40, 68), (100, 32)])
def test_each_token_is_the_last_map_s_place_of_its_pixels(family, height, width):
    net = build(family)
    images = torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        (feature_map,) = net(images)
        patches = net.tokens(images)[1]
    rows, columns = net.mask_grid(height, width)
    assert patches.shape[1] == rows * columns
    for row in range(rows):
        for column in range(columns):
            place = feature_map[:, :, row * PATCH // 32, column * PATCH // 32]
            torch.testing.assert_close(patches[:, row * columns + column], place)


def test_a_stem_that_is_finer_than_a_patch_by_another_step():
    masks = torch.tensor([[True, False, False, True]])
    fine = upsampled_mask(masks, (2, 2), (3, 4), step=2)
    expected = [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1]]
    assert fine.int().tolist() == [expected]
    tokens = finer_tokens(torch.arange(4.0).view(1, 4, 1), (2, 2), (3, 4))
    assert tokens.view(3, 4).tolist() == [[0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 3, 3]]


def test_strides_of_a_resnet():
    net = build('resnet', strides=(1, 2, 2, 1), with_mask_token=True)
    images = torch.randn(2, 3, 36, 64)
    assert net.mask_grid(36, 64) == (5, 8)
    masks = torch.zeros(2, 40, dtype=torch.bool)
    masks[1, 8 + 2] = True
    stem = stem_of(net, images, masks)
    place = torch.zeros(9, 16, dtype=torch.bool)
    place[2:4, 4:6] = True
    assert torch.equal((stem[1] == net.mask_token[0]).all(dim=0), place)
    assert net.tokens(images)[1].shape[1] == 40


def test_a_map_that_does_not_shrink_cannot_be_masked():
    arch = {'stage_blocks': (2,), 'mid_channels': 64, 'out_channels': 128}
    one_stage = {'arch': arch, 'depths': [(1,), (2,)], 'out_indices': (0,)}
    assert build('resnet', **one_stage).tokens(torch.randn(1, 3, 32, 32))[1].shape[1] == 16 * 16
    with pytest.raises(ValueError, match=r'masks need .* strides \(1,\)'):
        build('resnet', **one_stage, with_mask_token=True)


@pytest.mark.parametrize('family', FAMILIES)
@pytest.mark.parametrize('out_indices', [(-1,), (0, 4), ()])
def test_stages_that_a_stock_network_lacks(family, out_indices):
    """mmpretrain's ResNet takes -1 and returns nothing; Swin fails in a list."""
    net = build(family)
    for call in (net.subnet_cfg, net.extract):
        with pytest.raises(ValueError, match=r'out_indices must be stages within 0…3, got \('):
            call('smallest', out_indices=list(out_indices))
    with pytest.raises(ValueError, match=r'out_indices must be stages within 0…3, got \('):
        build(family, out_indices=out_indices)
