"""Sub-networks of the paper's three supernets equal the stock networks cut out of them.

Every width is checked at some of the depths, and every depth at some of the widths, as
``STEPS`` says: which channels are kept does not depend on which blocks are. All 647 at each run
would take minutes; the rest are drawn by hypothesis.

The supernets are those of configs/pretrain with all of their widths, depths and blocks, but with
fewer channels in a head or group: as many as run in seconds.
"""

import functools

import pytest
import torch
from helpers import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.config import Config
from mmpretrain.models.backbones import ResNet, SwinTransformer, VisionTransformer
from tiny.networks import randomise

from poa_mm.models.backbones import BottleneckResNet
from poa_mm.registry import MODELS

CONFIGS = {'vit': 'poa_vit-l', 'swin': 'poa_swin-b', 'resnet': 'poa_resnet-152'}
NUMBERS = {'vit': 143, 'swin': 39, 'resnet': 465}
STEPS = {'vit': 3, 'swin': 2, 'resnet': 3}  # one combination of so many
STOCK = {
    'vit': {VisionTransformer},
    'swin': {SwinTransformer},
    'resnet': {ResNet, BottleneckResNet},  # the second one where mmpretrain has no such depth
}
SLIMMER = {'vit': 32, 'swin': 8, 'resnet': 8}  # times; heads keep two channels, groups two or more
CHANNELS = ('embed_dims', 'feedforward_channels', 'mid_channels', 'out_channels')
# Blocks or stages to output; those of a ViT are in all depths.
STAGES = {'vit': [2, 5, 8, -1], 'swin': [0, 1, 2, 3], 'resnet': [0, 1, 2, 3]}
# Patches and windows fill some of them, and not the others.
SIZES = [(96, 96), (64, 112), (70, 54), (33, 81), (128, 48)]


def slim(family, **overrides):
    """The config of the paper's supernet with a fraction of the channels."""
    path = ROOT / 'configs' / 'pretrain' / f'{CONFIGS[family]}.py'
    cfg = Config.fromfile(path).model.backbone.to_dict()
    times = SLIMMER[family]
    arch = {key: value // times if key in CHANNELS else value for key, value in cfg['arch'].items()}
    widths = [width // times for width in cfg['widths']]
    cfg |= {'arch': arch, 'widths': widths, 'out_indices': STAGES[family]}
    if family == 'vit':
        cfg['out_type'] = 'raw'  # class token and patches
    if family == 'resnet':
        groups = cfg['norm_cfg']['num_groups'] // times
        cfg |= {'stem_channels': 64 // times, 'norm_cfg': {'type': 'GN', 'num_groups': groups}}
    return {**cfg, **overrides}


@functools.cache
def supernet(family, **overrides):
    torch.manual_seed(0)
    return randomise(MODELS.build(slim(family, **overrides))).double().eval()


@torch.no_grad()
def check(net, subnet, size):
    """All outputs of the stock network that is cut out are those of the sub-network.

    Returns:
        Its class.
    """
    stock = net.extract(subnet)
    assert sum(p.numel() for p in stock.parameters()) == net.num_params(subnet)
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(1, 3, *size, generator=generator, dtype=torch.float64)
    outputs, expected = net(images, subnet), stock(images)
    assert len(outputs) == len(expected) == 4
    for mine, theirs in zip(outputs, expected, strict=True):
        assert mine.std() > 1e-3
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-10)
    return type(stock)


@pytest.mark.parametrize('family', CONFIGS)
@pytest.mark.parametrize('which', ['smallest', 'largest'])
def test_the_config_builds_what_is_cut_out(family, which):
    net = supernet(family)
    stock, extracted = MODELS.build(net.subnet_cfg(which)).double(), net.extract(which)
    assert type(stock) is type(extracted)
    stock.load_state_dict(extracted.state_dict(), strict=True)
    stock.eval()  # mmpretrain's returns None
    images = torch.ones(1, 3, 96, 96, dtype=torch.float64)
    with torch.no_grad():
        assert all(map(torch.equal, stock(images), extracted(images)))


@pytest.mark.slow
@pytest.mark.parametrize('family', CONFIGS)
def test_every_width_and_depth(family):
    net = supernet(family)
    assert len(net.space) == NUMBERS[family]
    widths, depths = net.space.widths, net.space.depths
    chosen = [
        subnet
        for subnet in net.subnets
        if (widths.index(subnet.width) + depths.index(subnet.depth)) % STEPS[family] == 0
    ]
    assert {subnet.width for subnet in chosen} == set(widths)
    assert {subnet.depth for subnet in chosen} == set(depths)
    classes = {
        check(net, subnet, SIZES[number % len(SIZES)]) for number, subnet in enumerate(chosen)
    }
    assert classes == STOCK[family]


@pytest.mark.parametrize('family', CONFIGS)
@settings(deadline=None, max_examples=12)
@given(data=st.data())
def test_any_sub_network_at_any_size(family, data):
    net = supernet(family)
    sides = st.integers(32, 120)
    check(net, data.draw(st.sampled_from(net.subnets)), (data.draw(sides), data.draw(sides)))


@pytest.mark.parametrize('family', CONFIGS)
@pytest.mark.parametrize('which', ['smallest', 'largest'])
def test_at_the_size_of_pre_training(family, which):
    net = supernet(family)
    check(net, net.space[which], (224, 224))


@settings(deadline=None, max_examples=10)
@given(st.data())
def test_maps_and_class_tokens_of_a_vision_transformer(data):
    """What detectors, segmenters and classifiers take; the tests above compare whole sequences."""
    out_type = data.draw(st.sampled_from(['featmap', 'cls_token']))
    net = supernet('vit', out_type=out_type)
    check(net, data.draw(st.sampled_from(net.subnets)), data.draw(st.sampled_from(SIZES)))
