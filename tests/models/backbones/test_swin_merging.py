"""Eq. 11, Swin's patch merging, with the four groups one after the other as in the paper."""

import copy

import pytest
import torch
import torch.nn.functional as F
from mmpretrain.models.utils import PatchMerging
from tiny.networks import randomise
from torch import nn

from poa_mm.elastic import ElasticLayerNorm, ElasticLinear, make_elastic
from poa_mm.models.backbones.swin_layers import ElasticPatchMerging

FULL = 6
CLASSES = {
    PatchMerging: ElasticPatchMerging,
    nn.LayerNorm: ElasticLayerNorm,
    nn.Linear: ElasticLinear,
}


def stock(norm=True):
    norm_cfg = {'type': 'LN'} if norm else None
    return randomise(PatchMerging(FULL, 2 * FULL, norm_cfg=norm_cfg)).double()


def elastic(**options):
    merging = stock(**options)
    make_elastic(merging, CLASSES)
    return merging


def tokens(height, breadth, width=FULL):
    generator = torch.Generator().manual_seed(3)
    return torch.randn(2, height * breadth, width, generator=generator).double()


def grouped(parameter):
    """Axis of the inputs split into (group, channel), from mmpretrain's channel-major order."""
    return parameter.unflatten(-1, (FULL, 4)).transpose(-2, -1)


def by_hand(merging, x, size, width):
    """First D_i channels of each group, first 2·D_i outputs, times α; odd maps padded by zeros."""
    maps = F.pad(x.unflatten(1, size), (0, 0, 0, size[1] % 2, 0, size[0] % 2))
    places = [maps[:, row::2, column::2] for row in (0, 1) for column in (0, 1)]
    inputs = torch.cat(places, dim=-1).flatten(1, 2)
    if merging.norm is not None:
        scale, shift = (
            grouped(parameter)[:, :width].flatten()
            for parameter in (merging.norm.weight, merging.norm.bias)
        )
        centred = inputs - inputs.mean(dim=-1, keepdim=True)
        spread = (centred.square().mean(dim=-1, keepdim=True) + merging.norm.eps).sqrt()
        inputs = centred / spread * scale + shift
    weight = grouped(merging.reduction.weight)[: 2 * width, :, :width].flatten(1) * (FULL / width)
    return inputs @ weight.T


@pytest.mark.parametrize('norm', [True, False])
@pytest.mark.parametrize('size', [(4, 6), (3, 5), (1, 1)])
def test_every_width_keeps_a_prefix_of_each_group(size, norm):
    merging = elastic(norm=norm)
    for width in range(1, FULL + 1):
        x = tokens(*size, width)
        merged, found = merging(x, size)
        assert found == (-(-size[0] // 2), -(-size[1] // 2))
        torch.testing.assert_close(merged, by_hand(merging, x, size, width))


@pytest.mark.parametrize('size', [(4, 6), (3, 5)])
def test_the_intact_layer_is_the_stock_one_to_the_bit(size):
    plain = stock()
    merging = copy.deepcopy(plain)
    make_elastic(merging, CLASSES)
    (merged, found), (expected, theirs) = (net(tokens(*size), size) for net in (merging, plain))
    assert torch.equal(merged, expected)
    assert found == theirs
