"""What a supernet says of itself, and of images that it cannot take."""

from types import ModuleType

import numpy as np
import pytest
import torch
from PIL import Image
from tiny.checkpoints import save_supernet
from tiny.families import TINY

import poa_mm
from poa_mm.registry import ELASTIC_BACKBONES


@pytest.fixture(scope='module')
def nets():
    return {family: ELASTIC_BACKBONES.build(cfg).eval() for family, cfg in TINY.items()}


@pytest.mark.parametrize(
    ('family', 'lines'),
    [
        (
            'vit',
            [
                'ElasticVisionTransformer: 9 sub-networks, w16-d2 to w32-d4 (3 widths × 3 depths)',
                'parameters',
                'images of 16 × 16 pixels, 3 channels',
            ],
        ),
        (
            'swin',
            [
                'ElasticSwinTransformer: 6 sub-networks, w8-d4 to w16-d6 (2 widths × 3 depths)',
                'parameters',
                'images of 64 × 64 pixels, 3 channels',
            ],
        ),
        (
            'resnet',
            [
                'ElasticResNet: 4 sub-networks, w8-d3-4-6-3 to w16-d3-4-7-3 (2 widths × 2 depths)',
                'parameters',
                'images of any size, 3 channels',
            ],
        ),
    ],
)
def test_three_lines_come_before_the_modules(nets, family, lines):
    net = nets[family]
    first, second, third, module, *_ = repr(net).splitlines()
    assert [first, third] == [lines[0], lines[2]]
    sizes = [net.num_params(subnet) / 1e6 for subnet in (net.space.smallest, net.space.largest)]
    assert second == f'{sizes[0]:.3g} M to {sizes[1]:.3g} M parameters'
    assert module.startswith(type(net).__name__)


@pytest.mark.parametrize('family', TINY)
@pytest.mark.parametrize(
    ('images', 'error', 'words'),
    [
        (torch.zeros(3, 64, 64), ValueError, r'without the batch axis: write net\(image\[None\]\)'),
        (torch.zeros(2, 64, 64, 3), ValueError, 'channels come before height and width'),
        (
            torch.zeros(2, 1, 64, 64),
            ValueError,
            r'takes images \(B, 3, H, W\), got \(2, 1, 64, 64\)',
        ),
        (torch.zeros(64, 64), ValueError, r'got \(64, 64\)'),
        (torch.zeros(1, 3, 64, 64, dtype=torch.uint8), TypeError, 'normalised floating-point'),
        (np.zeros((64, 64, 3)), TypeError, 'got a ndarray; poa_mm.image_transform'),
        (Image.new('RGB', (64, 64)), TypeError, 'got a Image; poa_mm.image_transform'),
    ],
)
def test_what_is_no_batch_of_images_gets_a_sentence(nets, family, images, error, words):
    with pytest.raises(error, match=words):
        nets[family](images)


def test_image_transform_is_that_of_the_checkpoint(tmp_path):
    path = tmp_path / 'iter_1.pth'
    save_supernet(path)
    net = poa_mm.load_supernet(path)
    image = Image.new('RGBA', (40, 20), (255, 0, 0, 255))
    prepared = poa_mm.image_transform(net)(image)
    assert prepared.shape == (3, 16, 16)
    expected = [(255 - 123.675) / 58.395, -116.28 / 57.12, -103.53 / 57.375]
    assert prepared[:, 8, 8].tolist() == pytest.approx(expected, abs=1e-4)
    assert net(prepared[None])[0].shape == (1, 32)


@pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
def test_image_transform_of_an_extracted_backbone(tmp_path, suffix):
    from poa_mm.export import export_subnet

    path = tmp_path / 'iter_1.pth'
    save_supernet(path)
    net = poa_mm.load_supernet(path)
    out = tmp_path / f'net{suffix}'
    kind = 'mmpretrain' if suffix == '.pth' else 'safetensors'
    export_subnet(net, 'smallest', out, to=kind, checkpoint=path)
    image = Image.effect_noise((50, 30), 80)
    prepared = poa_mm.image_transform(poa_mm.load_backbone(out))(image)
    assert torch.equal(prepared, poa_mm.image_transform(net)(image))


def test_image_transform_of_any_other_network():
    net = torch.nn.Conv2d(1, 4, 3)
    assert poa_mm.image_transform(net)(Image.new('L', (300, 260))).shape == (1, 224, 224)


def test_dir_shows_what_the_package_offers():
    names = [name for name in dir(poa_mm) if not name.startswith('_')]
    assert {'load_supernet', 'load_backbone', 'image_transform', 'evaluation'} <= set(names)
    own = [name for name in names if not isinstance(getattr(poa_mm, name), ModuleType)]
    assert len(own) < 15  # rooms are there once anything has imported them
