"""Damage and precision of files with one backbone."""

import pytest
import torch
from mmengine.registry import DefaultScope
from mmpretrain.models.backbones import VisionTransformer
from tiny.families import SUPERNETS, build, images

import poa_mm
from poa_mm.checkpoints import load_backbone, save_backbone


@pytest.mark.parametrize('family', SUPERNETS)
def test_float64_stays_float64(family, tmp_path):
    net = build(family, torch.float64)
    save_backbone(net, 'smallest', tmp_path / 'net.pth')
    stock = load_backbone(tmp_path / 'net.pth')
    assert {p.dtype for p in stock.parameters()} == {torch.float64}
    batch = images(family, dtype=torch.float64)
    with torch.no_grad():
        expected = net(batch, 'smallest')[-1]
        torch.testing.assert_close(stock(batch)[-1], expected, rtol=0, atol=1e-10)


def test_a_changed_weight_is_noticed(tmp_path):
    path = tmp_path / 'net.pth'
    save_backbone(build('vit'), 'smallest', path)
    content = bytearray(path.read_bytes())
    bias = load_backbone(path).layers[0].attn.qkv.bias.detach().numpy().tobytes()
    content[content.index(bias) + 5] ^= 64
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r'net\.pth is damaged: the check sum of .*data'):
        load_backbone(path)


def test_settings_of_the_stock_class(tmp_path):
    net = build('vit')
    save_backbone(net, 'smallest', tmp_path / 'net.pth', img_size=24)
    stock = poa_mm.load_backbone(tmp_path / 'net.pth')
    assert stock.patch_resolution == (6, 6)
    batch = images('vit', size=24)
    with torch.no_grad():
        torch.testing.assert_close(stock(batch)[-1], net(batch, 'smallest')[-1])


def test_a_run_of_another_library_does_not_change_the_class(tmp_path):
    """mmseg has a VisionTransformer of its own, which its scope would find first."""
    pytest.importorskip('mmseg.models')
    save_backbone(build('vit'), 'smallest', tmp_path / 'net.pth')
    DefaultScope.get_instance('run of mmseg', scope_name='mmseg')
    assert type(load_backbone(tmp_path / 'net.pth')) is VisionTransformer
