"""Files for mmpretrain: .pth and .safetensors."""

import pytest
import torch
from helpers import load_tool
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from tiny.checkpoints import save_checkpoint
from tiny.families import SIZE, SUPERNETS, build, images

import poa_mm
from poa_mm.export import export_subnet


@pytest.mark.parametrize(('to', 'suffix'), [('safetensors', 'safetensors'), ('mmpretrain', 'pth')])
@pytest.mark.parametrize('family', SUPERNETS)
@settings(deadline=None, max_examples=3)
@given(data=st.data())
def test_round_trip(data, family, to, suffix, tmp_path_factory):
    net = build(family, torch.float64)
    subnet = data.draw(st.sampled_from(net.subnets))
    path = tmp_path_factory.mktemp('export') / f'net.{suffix}'
    export_subnet(net, subnet, path, to, image_size=SIZE[family])
    stock = poa_mm.load_backbone(path)
    assert not stock.training
    batch = images(family, dtype=torch.float64)
    with torch.no_grad():
        outputs, expected = stock(batch), net(batch, subnet)
    assert len(outputs) == len(expected)
    for mine, theirs in zip(outputs, expected, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-10)


def test_several_maps(tmp_path):
    net = build('swin', out_indices=(0, 1, 2, 3))
    export_subnet(net, 'smallest', tmp_path / 'net.safetensors', 'safetensors')
    stock = poa_mm.load_backbone(tmp_path / 'net.safetensors')
    with torch.no_grad():
        maps = stock(images('swin'))
    assert [tuple(out.shape[1:]) for out in maps] == [
        (16, 16, 16), (32, 8, 8), (64, 4, 4), (128, 2, 2)
    ]  # fmt: skip


def test_mmpretrain_means_the_file_of_extract_subnet(tmp_path):
    source = save_checkpoint(tmp_path / 'iter_1.pth', build('resnet'))
    net = poa_mm.load_supernet(source)
    export_subnet(net, 'smallest', tmp_path / 'mine.pth', 'mmpretrain', checkpoint=source)
    tool = load_tool('extract_subnet')
    assert tool.main([str(source), 'smallest', str(tmp_path / 'theirs.pth')]) == 0
    mine, theirs = (
        torch.load(tmp_path / name, weights_only=True) for name in ('mine.pth', 'theirs.pth')
    )
    state = theirs.pop('state_dict')
    assert all(torch.equal(value, state[name]) for name, value in mine.pop('state_dict').items())
    assert mine == theirs


def test_another_image_size_resizes_positions(tmp_path):
    net = build('vit')
    path = tmp_path / 'net.safetensors'
    card = export_subnet(net, 'smallest', path, 'safetensors', image_size=32)
    assert card.build['img_size'] == 32
    stock = poa_mm.load_backbone(path)
    assert stock.pos_embed.shape == (1, 65, 16)
    batch = images('vit', size=32)
    with torch.no_grad():
        torch.testing.assert_close(stock(batch)[-1], net(batch, 'smallest')[-1])


def test_load_backbone_refuses_other_safetensors(tmp_path):
    path = tmp_path / 'net.safetensors'
    export_subnet(build('vit'), 'smallest', tmp_path / 'net', 'timm')
    with pytest.raises(ValueError, match=r'no backbone of mmpretrain.*poa_mm\.export\.load_timm'):
        poa_mm.load_backbone(tmp_path / 'net' / 'model.safetensors')
    save_file({'weight': torch.zeros(1)}, path)
    with pytest.raises(ValueError, match='not of poa_mm'):
        poa_mm.load_backbone(path)
    path.unlink()
    with pytest.raises(FileNotFoundError, match='no checkpoint at'):
        poa_mm.load_backbone(path)


def test_a_writer_that_fails_to_keep_the_weights_is_found(tmp_path, monkeypatch):
    import poa_mm.export.stock as module

    def wrong(path):
        net = poa_mm.load_backbone(path)
        net.cls_token.data[0, 0, 3] += 1e-6
        return net

    monkeypatch.setattr(module, 'load_backbone', wrong)
    with pytest.raises(ValueError, match='cls_token differs after writing; nothing was written'):
        export_subnet(build('vit'), 'smallest', tmp_path / 'net.pth', 'mmpretrain')
    assert not list(tmp_path.iterdir())
