"""Sub-networks straight from a supernet's checkpoint."""

import pytest
import torch
from mmengine.runner.checkpoint import _load_checkpoint
from mmpretrain.registry import MODELS
from tiny.checkpoints import save_supernet
from tiny.families import TINY

import poa_mm  # noqa: F401
from poa_mm.checkpoints import save_backbone

NAMES = {'vit': 'w24-d3', 'swin': 'w8-d5', 'resnet': 'w8-d3-4-7-3'}


@pytest.mark.parametrize('family', TINY)
def test_it_is_what_an_extracted_file_holds(tmp_path, family):
    teacher = save_supernet(tmp_path / 'iter_9.pth', TINY[family])['teacher']
    save_backbone(teacher, NAMES[family], tmp_path / 'net.pth')
    expected = torch.load(tmp_path / 'net.pth', weights_only=True)
    loaded = _load_checkpoint(f'subnet://{NAMES[family]}@{tmp_path}/iter_9.pth')
    assert loaded['subnet'] == expected['subnet'] == NAMES[family]
    assert list(loaded['state_dict']) == list(expected['state_dict'])
    for name, value in loaded['state_dict'].items():
        assert torch.equal(value, expected['state_dict'][name]), name


@pytest.mark.parametrize('family', TINY)
def test_init_cfg_takes_it_in_the_stock_class(tmp_path, family):
    path = tmp_path / 'run@2' / 'iter_9.pth'  # a path may have another @
    path.parent.mkdir()
    teacher = save_supernet(path, TINY[family])['teacher']
    init_cfg = {'type': 'Pretrained', 'checkpoint': f'subnet://{NAMES[family]}@{path}'}
    net = MODELS.build(teacher.subnet_cfg(NAMES[family], init_cfg=init_cfg))
    net.init_weights()
    net.eval()
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        for found, expected in zip(net(images), teacher(images, NAMES[family]), strict=True):
            assert torch.allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_the_random_stream_stays_where_it_was(tmp_path):
    """What is initialised next does not depend on how the backbone was given."""
    save_supernet(tmp_path / 'iter_9.pth')
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    _load_checkpoint(f'subnet://smallest@{tmp_path}/iter_9.pth')
    assert torch.equal(torch.rand(4), expected)


@pytest.mark.parametrize('name', ['w17-d2', 'vit-s', 'w16-d9'])
def test_an_unknown_sub_network_names_the_valid_ones(tmp_path, name):
    save_supernet(tmp_path / 'iter_9.pth')
    with pytest.raises(ValueError, match=f"'{name}'.*a width of 16, 24, 32.*a depth of 2, 3, 4"):
        _load_checkpoint(f'subnet://{name}@{tmp_path}/iter_9.pth')


@pytest.mark.parametrize('text', ['iter_9.pth', 'vit-s@', '@iter_9.pth', ''])
def test_the_form_is_named(text):
    with pytest.raises(ValueError, match=r'subnet://SUBNET@CHECKPOINT'):
        _load_checkpoint(f'subnet://{text}')


def test_the_file_must_be_a_supernet(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'none\.pth'):
        _load_checkpoint(f'subnet://vit-s@{tmp_path}/none.pth')
    torch.save({'state_dict': {}, 'backbone': {}}, tmp_path / 'net.pth')
    with pytest.raises(ValueError, match='looks like an extracted backbone'):
        _load_checkpoint(f'subnet://vit-s@{tmp_path}/net.pth')
