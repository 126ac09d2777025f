"""The network that leaves the project."""

import pytest
import torch
from mmpretrain.models.utils import ShiftWindowMSA
from tiny.families import SUPERNETS, build, images
from torch import nn

from poa_mm.elastic import Subnet
from poa_mm.export.network import (
    TraceableShiftWindowMSA,
    describe_outputs,
    feature_net,
    image_size_argument,
    traceable,
)

EXPECTED = {
    'vit': '`features` (B, 16), class token after the final norm; `feature_map` (B, 16, 4, 4)',
    'swin': '`features` (B, 128), mean of the last map; `feature_map` (B, 128, 2, 2)',
    'resnet': '`features` (B, 1024), mean of the last map; `feature_map` (B, 1024, 1, 1)',
}


@pytest.mark.parametrize('family', SUPERNETS)
def test_what_it_gives(family):
    net = build(family, torch.float64)
    subnet, batch = net.space.smallest, images(family, dtype=torch.float64)
    wrapped = feature_net(net, subnet, batch.shape[-2:])
    with torch.no_grad():
        features, feature_map = wrapped(batch)
        class_tokens, patches = net.tokens(batch, subnet)
    torch.testing.assert_close(features, class_tokens, rtol=0, atol=1e-10)
    if family == 'vit':  # the others' patch tokens are twice as fine
        torch.testing.assert_close(feature_map.flatten(2).transpose(1, 2), patches)
    else:
        torch.testing.assert_close(feature_map.mean(dim=(2, 3)), features)
    assert describe_outputs(wrapped, batch) == EXPECTED[family]


def test_the_map_of_an_oblong_image():
    net = build('vit', torch.float64, img_size=(16, 24))
    batch = torch.randn(2, 3, 16, 24, dtype=torch.float64)
    with torch.no_grad():
        feature_map = feature_net(net, net.space.smallest, (16, 24))(batch)[1]
        patches = net.tokens(batch, 'smallest')[1]
    assert feature_map.shape == (2, 16, 4, 6)
    torch.testing.assert_close(feature_map[:, :, 2, 5], patches[:, 2 * 6 + 5])


def test_only_classes_that_have_it_get_an_image_size():
    vit, resnet = build('vit'), build('resnet')
    assert image_size_argument(vit, Subnet(16, 2), (32, 32)) == {'img_size': 32}
    assert image_size_argument(vit, Subnet(16, 2), (32, 48)) == {'img_size': [32, 48]}
    assert image_size_argument(resnet, resnet.space.smallest, (32, 32)) == {}


@pytest.mark.parametrize(('size', 'padded'), [(64, True), (80, True), (128, False)])
def test_traceable_windows_compute_the_same(size, padded):
    net = build('swin', torch.float64, img_size=size, pad_small_map=padded)
    batch = images('swin', dtype=torch.float64, size=size)
    stock = feature_net(net, net.space.largest, (size, size))
    prepared = traceable(stock, batch)
    with torch.no_grad():
        for got, expected in zip(prepared(batch[:1]), stock(batch[:1]), strict=True):
            torch.testing.assert_close(got, expected, rtol=0, atol=1e-10)
    windows = [m for m in stock.modules() if isinstance(m, ShiftWindowMSA)]
    assert {type(module) for module in windows} == {ShiftWindowMSA}  # the original is untouched
    windows = [m for m in prepared.modules() if isinstance(m, ShiftWindowMSA)]
    assert {type(module) for module in windows} == {TraceableShiftWindowMSA}
    assert set(prepared.state_dict()) == set(stock.state_dict())


class Patches(nn.Module):
    """A backbone, and a supernet of itself, whose patches of 4 × 4 pixels are its tokens.

    Images of 12 × 16 pixels have as many tokens as channels.
    """

    def __init__(self, last):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))
        self.last = last

    def subnet_cfg(self, subnet):
        return {'type': 'mmpretrain.ResNet'}  # takes no image size

    def extract(self, subnet):
        return self

    def mask_grid(self, height, width):
        return height // 4, width // 4

    def tokens(self, images, subnet):
        patches = self.weight * nn.functional.unfold(images, 4, stride=4)[:, :12].mT
        return patches.mean(dim=1), patches

    def forward(self, images):
        return (images, self.last(self.tokens(images, None)[1]))


@pytest.mark.parametrize(
    ('last', 'layout'), [(lambda out: out, 'tokens'), (lambda out: out.mT, 'transposed tokens')]
)
@pytest.mark.parametrize('size', [(12, 16), (16, 16), (4, 8)])
def test_tokens_without_a_class_token(last, layout, size):
    supernet, batch = Patches(last), torch.randn(2, 3, *size)
    net = feature_net(supernet, None, size)
    assert net.layout == layout
    with torch.no_grad():
        features, feature_map = net(batch)
        class_tokens, patches = supernet.tokens(batch, None)
    torch.testing.assert_close(features, class_tokens)
    assert feature_map.shape == (2, 12, size[0] // 4, size[1] // 4)
    assert torch.equal(feature_map.flatten(2).mT, patches)
    assert describe_outputs(net, batch).startswith('`features` (B, 12), mean of the last tokens;')


@pytest.mark.parametrize(
    ('last', 'shape'), [(lambda out: out[:, 1:], '1, 15, 12'), (lambda out: out[:, 0], '1, 12')]
)
def test_what_is_neither_a_map_nor_the_patch_tokens(last, shape):
    reason = rf'Patches gives \({shape}\), neither a map .* nor the patch tokens \(1, 16, 12\)'
    with pytest.raises(ValueError, match=reason):
        feature_net(Patches(last), None, (16, 16))
