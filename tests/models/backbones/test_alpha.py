"""Supernets without α: every sub-network is what is cut out of them, whatever file they went by."""

import copy

import pytest
import torch
from by_hand import slice_by_hand
from tiny.checkpoints import save_supernet
from tiny.families import TINY, images
from tiny.networks import TINY_BACKBONE, poa_config, randomise
from torch import nn

from poa_mm import load_supernet
from poa_mm.checkpoints.projection import load_projection
from poa_mm.elastic import ElasticInputLinear
from poa_mm.files import SUPERNET_INFO
from poa_mm.registry import MODELS


def build(family, **overrides):
    torch.manual_seed(0)
    cfg = copy.deepcopy({**TINY[family], 'alpha_scaling': False, **overrides})
    return randomise(MODELS.build(cfg)).eval()


@pytest.mark.parametrize('family', TINY)
@torch.no_grad()
def test_every_sub_network_is_the_one_that_is_cut_out(family):
    net = build(family).double()
    batch = images(family, dtype=torch.float64)
    for subnet in net.subnets:
        stock = net.extract(subnet)
        for mine, theirs in zip(net(batch, subnet), stock(batch), strict=True):
            torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-10)
            assert mine.std() > 1e-3


@pytest.mark.parametrize('family', TINY)
def test_alpha_is_all_that_differs(family):
    """Each weight is that of the same supernet with α, divided by α; all else is the same."""
    net = build(family).double()
    scaled = build(family, alpha_scaling=True).double()
    scaled.load_state_dict(net.state_dict())
    for subnet in net.subnets:
        alpha = net.full_width / subnet.width
        with_alpha = scaled.subnet_state_dict(subnet)
        factors = set()
        for name, plain in net.subnet_state_dict(subnet).items():
            factor = 1.0 if torch.equal(plain, with_alpha[name]) else alpha
            assert torch.equal(plain * factor, with_alpha[name])
            factors.add(factor)
        assert factors == {1.0, alpha}
        assert net.subnet_cfg(subnet) == scaled.subnet_cfg(subnet)
        assert net.num_params(subnet) == scaled.num_params(subnet)
    batch = images(family, dtype=torch.float64)
    assert all(map(torch.equal, net(batch), scaled(batch)))  # the intact network has no α
    different = zip(net(batch, 'smallest'), scaled(batch, 'smallest'), strict=True)
    assert not any(torch.allclose(mine, theirs) for mine, theirs in different)


def test_slices_by_hand():
    net = build('vit').double()
    for subnet in net.subnets:
        state = net.subnet_state_dict(subnet)
        by_hand = slice_by_hand(net.state_dict(), subnet, net.arch, alpha_scaling=False)
        assert state.keys() == by_hand.keys()
        assert all(torch.equal(state[name], value) for name, value in by_hand.items())


@pytest.mark.parametrize('family', TINY)
def test_a_checkpoint_tells_it(family, tmp_path):
    path = tmp_path / 'iter_1.pth'
    nets = save_supernet(path, TINY[family], alpha_scaling=False)
    loaded = load_supernet(path)
    assert loaded.alpha_scaling is False
    batch = images(family)
    outputs = zip(loaded(batch, 'smallest'), nets['teacher'](batch, 'smallest'), strict=True)
    assert all(torch.equal(mine, theirs) for mine, theirs in outputs)


@pytest.mark.parametrize('family', TINY)
def test_the_config_is_that_of_before_where_alpha_is_on(family):
    net = MODELS.build(copy.deepcopy(TINY[family]))
    assert net.alpha_scaling is True
    assert 'alpha_scaling' not in net.config
    assert MODELS.build(build(family).config).config['alpha_scaling'] is False


def test_heads_have_the_setting_of_the_backbone(tmp_path):
    """Also in the teacher, and in the layer that a classifier takes from the checkpoint."""
    poa = MODELS.build(poa_config(backbone={**TINY_BACKBONE, 'alpha_scaling': False}))
    randomise(poa)
    for branch in (poa, poa.teacher):
        assert branch.backbone.alpha_scaling is False
        layers = [layer for layer in branch.modules() if hasattr(layer, 'alpha_scaling')]
        assert sum(isinstance(layer, ElasticInputLinear) for layer in layers) >= 2
        assert not any(layer.alpha_scaling for layer in layers)
    first = poa.teacher.head.heads[1].mlp[0]
    x = torch.randn(3, 24)
    assert torch.equal(first(x), nn.functional.linear(x, first.weight[:, :24], first.bias))
    path = tmp_path / 'iter_1.pth'
    info = {'backbone': poa.backbone.config, 'config': {}}
    torch.save({'state_dict': poa.state_dict(), SUPERNET_INFO: info}, path)
    (layer,) = load_projection(path, 24, head=1)
    assert torch.equal(layer['weight'], first.weight[:, :24])


@pytest.mark.parametrize('family', TINY)
def test_anything_but_true_and_false_is_refused(family):
    with pytest.raises(ValueError, match="alpha_scaling must be True or False, got 'off'"):
        MODELS.build({**copy.deepcopy(TINY[family]), 'alpha_scaling': 'off'})
