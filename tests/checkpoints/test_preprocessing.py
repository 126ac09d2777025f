"""What exported networks expect of images."""

import json
from dataclasses import replace

import pytest
import torch
from helpers import ROOT
from mmengine.config import Config
from tiny.checkpoints import save_checkpoint
from tiny.families import IMAGES, build

from poa_mm.checkpoints import save_backbone
from poa_mm.checkpoints.preprocessing import Preprocessing, preprocessing_of, stored_preprocessing
from poa_mm.checkpoints.safetensors_file import write_tensors
from poa_mm.export import export_subnet

IMAGENET = ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))


def config(name):
    return Config.fromfile(ROOT / 'configs' / 'pretrain' / f'{name}.py')


def test_without_a_config_imagenet_s():
    found = preprocessing_of(build('resnet'), {})
    assert found == Preprocessing((224, 224), *IMAGENET, 0.875, 'bicubic')
    assert found.unit_mean == pytest.approx((0.485, 0.456, 0.406))
    assert found.unit_std == pytest.approx((0.229, 0.224, 0.225))


def test_converted_checkpoints_tell_no_more_than_their_model():
    found = preprocessing_of(build('vit'), {'default_scope': 'mmpretrain', 'model': {}})
    assert found == Preprocessing((16, 16), *IMAGENET, 0.875, 'bicubic')


@pytest.mark.parametrize(
    ('name', 'size', 'ratio', 'mean'),
    [
        ('poa_vit-l', 224, 0.875, IMAGENET[0]),
        ('poa_resnet-152', 224, 0.875, IMAGENET[0]),
        ('poa_vit-tiny_photos', 32, 1.0, IMAGENET[0]),
        ('poa_resnet-tiny_fashion-mnist', 28, 1.0, (72.94,) * 3),
    ],
)
def test_shipped_configs(name, size, ratio, mean):
    cfg = config(name)
    family = 'resnet' if 'resnet' in name else 'vit'
    net = build(family, **({} if family == 'resnet' else {'img_size': size}))
    found = preprocessing_of(net, cfg)
    assert found.image_size == (size, size)
    assert (found.crop_ratio, found.mean, found.interpolation) == (ratio, mean, 'bicubic')


def test_settings_of_a_config():
    found = preprocessing_of(build('resnet'), IMAGES)
    assert found == Preprocessing(
        (64, 64), (102.0, 51.0, 76.5), (51.0, 102.0, 127.5), 0.8, 'bilinear'
    )
    nested = {'model': {'data_preprocessor': {'mean': [1, 2, 3], 'std': [4, 5, 6]}}}
    found = preprocessing_of(build('resnet'), nested)
    assert (found.mean, found.std) == ((1, 2, 3), (4, 5, 6))


def test_another_size():
    assert preprocessing_of(build('vit'), IMAGES, 32).image_size == (32, 32)
    assert preprocessing_of(build('vit'), IMAGES, (32, 48)).image_size == (32, 48)


def test_words():
    found = preprocessing_of(build('vit'), IMAGES)
    assert str(found) == (
        '16 × 16 RGB, of values of 0…1 minus 0.4000 0.2000 0.3000, over 0.2000 0.4000 0.5000; '
        'centre of a bilinear resize to 20'
    )
    assert str(Preprocessing((16, 24), crop_ratio=1.0)).endswith('; resized whole (bicubic)')


@pytest.mark.parametrize('change', [{}, {'crop_ratio': 1.0, 'image_size': (16, 24)}])
def test_plain_data_and_back(change):
    found = replace(preprocessing_of(build('vit'), IMAGES), **change)
    assert Preprocessing.from_dict(json.loads(json.dumps(found.as_dict()))) == found


@pytest.mark.parametrize(
    'change',
    [
        {'image_size': [16]},
        {'image_size': [16, 0]},
        {'image_size': 'large'},
        {'image_size': ['a', 'b']},
        {'mean_of_255': [1.0, 2.0]},
        {'mean_of_255': None},
        {'mean_of_255': [1.0, 2.0, float('nan')]},
        {'std_of_255': [1.0, 2.0, 0.0]},
        {'crop_ratio': 0},
        {'crop_ratio': 1.5},
        {'interpolation': 'best'},
        {'channels': 'BGR'},
        {'channels': 0},
        {'channels': None},
    ],
)
def test_plain_data_that_mean_nothing(change):
    data = {**Preprocessing((16, 16)).as_dict(), **change}
    with pytest.raises(ValueError, match=next(iter(change)).split('_of')[0]):
        Preprocessing.from_dict(data)
    del data['interpolation']
    with pytest.raises(ValueError, match='preprocessing has no interpolation'):
        Preprocessing.from_dict(data)
    with pytest.raises(ValueError, match='preprocessing must be a dict'):
        Preprocessing.from_dict([data])


def test_other_channels_than_rgb():
    """ImageNet's values averaged where nothing is known; one value holds for all channels."""
    grey = preprocessing_of(build('vit', in_channels=1), {})
    assert grey == Preprocessing((16, 16), (114.495,), (57.63,), 0.875, 'bicubic')
    assert (grey.channels, grey.mode, grey.as_dict()['channels']) == (1, 'L', 'grey')
    assert '16 × 16 grey, of values of 0…1 minus 0.4490, over 0.2260' in str(grey)
    config = {'data_preprocessor': {'mean': [1.0], 'std': [2.0]}}
    four = preprocessing_of(build('swin', in_channels=4), config)
    assert (four.mean, four.std, four.as_dict()['channels']) == ((1.0,) * 4, (2.0,) * 4, 4)
    for found in (grey, four):
        assert Preprocessing.from_dict(json.loads(json.dumps(found.as_dict()))) == found
    with pytest.raises(ValueError, match=r'RGB \(3 channels\) or grey \(1\); the network takes 4'):
        _ = four.mode
    with pytest.raises(ValueError, match=r'mean of the data_preprocessor has 3 values.*1 channel'):
        preprocessing_of(build('resnet', in_channels=1), IMAGES)


def test_what_files_hold(tmp_path):
    net, source = build('swin'), tmp_path / 'iter_1.pth'
    save_checkpoint(source, net)
    expected = preprocessing_of(net, IMAGES)
    for name, to in (('net.pth', 'mmpretrain'), ('net.safetensors', 'safetensors')):
        export_subnet(net, 'smallest', tmp_path / name, to, checkpoint=source)
        assert stored_preprocessing(tmp_path / name) == expected
    save_backbone(net, 'smallest', tmp_path / 'plain.pth')
    assert stored_preprocessing(tmp_path / 'plain.pth') is None
    write_tensors({'weight': torch.zeros(1)}, {}, tmp_path / 'plain.safetensors')
    assert stored_preprocessing(tmp_path / 'plain.safetensors') is None
    write_tensors({'weight': torch.zeros(1)}, {'poa_mm': '[]'}, tmp_path / 'odd.safetensors')
    assert stored_preprocessing(tmp_path / 'odd.safetensors') is None
    with pytest.raises(FileNotFoundError, match=r'none\.pth'):
        stored_preprocessing(tmp_path / 'none.pth')


def test_plain_data():
    data = preprocessing_of(build('vit'), IMAGES).as_dict()
    assert data == {
        'image_size': [16, 16],
        'channels': 'RGB',
        'mean': [0.4, 0.2, 0.3],
        'std': [0.2, 0.4, 0.5],
        'mean_of_255': [102.0, 51.0, 76.5],
        'std_of_255': [51.0, 102.0, 127.5],
        'crop_ratio': 0.8,
        'interpolation': 'bilinear',
    }
