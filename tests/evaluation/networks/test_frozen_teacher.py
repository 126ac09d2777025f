"""SEED's teacher: what it makes of images that another network's normalisation was applied to."""

import pytest
import torch
import torch.nn.functional as F
from tiny.checkpoints import save_supernet

import poa_mm
from poa_mm.checkpoints import save_backbone
from poa_mm.checkpoints.preprocessing import IMAGENET_MEAN, IMAGENET_STD, Preprocessing
from poa_mm.evaluation.networks.frozen_teacher import FrozenTeacher
from poa_mm.evaluation.networks.timm_models import create_timm

TIMM = 'test_vit.r160_in1k'
MEAN, STD = torch.tensor([100.0, 110.0, 120.0]), torch.tensor([50.0, 60.0, 70.0])


def pixels(side, channels=3):
    generator = torch.Generator().manual_seed(0)
    return 255 * torch.rand(2, channels, side, side, generator=generator)


def normalised(images, mean, std):
    mean, std = (torch.as_tensor(values)[:, None, None] for values in (mean, std))
    return (images - mean) / std


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
    path = tmp_path_factory.mktemp('run') / 'iter_1.pth'
    save_supernet(path)
    return path


@pytest.mark.parametrize('subnet', ['smallest', 'w24-d3'])
def test_a_sub_network_of_a_run(checkpoint, subnet):
    teacher = FrozenTeacher(f'subnet://{subnet}@{checkpoint}')
    supernet = poa_mm.load_supernet(checkpoint)
    images = pixels(16)
    expected = supernet(normalised(images, IMAGENET_MEAN, IMAGENET_STD), subnet)[-1]
    found = teacher(normalised(images, MEAN, STD), MEAN, STD)
    torch.testing.assert_close(found, expected)
    assert not found.requires_grad
    assert (teacher.width, teacher.channels) == (expected.shape[1], 3)
    assert not any(p.requires_grad for p in teacher.network.parameters())
    same = teacher(normalised(images, IMAGENET_MEAN, IMAGENET_STD))  # without statistics
    torch.testing.assert_close(same, expected)


def test_an_extracted_file_says_how_its_images_are_normalised(checkpoint, tmp_path):
    own = Preprocessing((16, 16), mean=(1.0, 2.0, 3.0), std=(200.0, 210.0, 220.0))
    supernet = poa_mm.load_supernet(checkpoint)
    path = tmp_path / 'net.pth'
    save_backbone(supernet, 'w24-d3', path, preprocessing=own.as_dict())
    images = pixels(24)
    resized = F.interpolate(
        normalised(images, own.mean, own.std), (16, 16), mode='bicubic', antialias=True
    )
    found = FrozenTeacher(path)(normalised(images, MEAN, STD), MEAN, STD)
    torch.testing.assert_close(found, supernet(resized, 'w24-d3')[-1])


@pytest.mark.parametrize('size', [None, 32])
def test_a_model_of_timm(size):
    teacher = FrozenTeacher(timm=TIMM, timm_weights='random', image_size=size)
    net = create_timm(TIMM, image_size=size)
    statistics = (torch.tensor(net.pretrained_cfg[key]) * 255 for key in ('mean', 'std'))
    side = size or net.pretrained_cfg['input_size'][-1]
    images = pixels(side)
    expected = net(normalised(images, *statistics))
    found = teacher(normalised(images, MEAN, STD), MEAN, STD)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    assert teacher.width == expected.shape[1]
    assert teacher.image_size == (side, side)


def test_it_follows_the_precision_of_the_images(checkpoint):
    teacher = FrozenTeacher(f'subnet://largest@{checkpoint}')
    assert teacher(pixels(16).double()).dtype == torch.float64


def test_it_draws_no_random_numbers_of_the_student(checkpoint):
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    FrozenTeacher(f'subnet://largest@{checkpoint}')
    assert torch.equal(torch.rand(1), expected)


@pytest.mark.parametrize(
    ('settings', 'error', 'message'),
    [
        ({}, ValueError, 'either checkpoint=... or timm=...'),
        (
            {'timm': 'vit_smal_patch16_224'},
            ValueError,
            'nor a model of timm.*vit_small_patch',
        ),
        ({'checkpoint': 'none.pth'}, FileNotFoundError, 'no checkpoint of the teacher at none.pth'),
        ({'checkpoint': 'subnet://vit-l'}, ValueError, 'not of the form subnet://'),
        (
            {'checkpoint': 'subnet://vit-l@none.pth'},
            FileNotFoundError,
            'no checkpoint of the teacher at none.pth',
        ),
    ],
)
def test_what_cannot_be_opened_is_named(settings, error, message):
    with pytest.raises(error, match=message):
        FrozenTeacher(**settings)


def test_weights_that_cannot_be_downloaded(monkeypatch):
    def offline(*args, **kwargs):
        raise OSError('no\nnetwork')

    monkeypatch.setattr('timm.create_model', offline)
    with pytest.raises(ValueError, match=r'cannot create .* with pretrained weights: no network$'):
        FrozenTeacher(timm=TIMM)


def test_a_run_is_no_extracted_file(checkpoint):
    with pytest.raises(ValueError, match='is not an extracted backbone'):
        FrozenTeacher(checkpoint)
