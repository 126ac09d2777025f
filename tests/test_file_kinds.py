"""A file of another kind is called by its name, with what can be done with it."""

import io
import zipfile

import numpy as np
import pytest
import safetensors.torch
import timm
import torch
import torchvision
from mmpretrain.registry import MODELS
from PIL import Image
from tiny.checkpoints import save_supernet
from tiny.networks import TINY_BACKBONE

import poa_mm
from poa_mm.file_kinds import kind_of_content, kind_of_file
from poa_mm.files import read_file


def names(build):
    """The state dict of a network without memory for its weights."""
    with torch.device('meta'):
        return build().state_dict()


@pytest.mark.parametrize(
    ('build', 'name'),
    [
        (lambda: timm.create_model('vit_tiny_patch16_224'), 'a ViT or Swin of timm'),
        (lambda: timm.create_model('swin_tiny_patch4_window7_224'), 'a ViT or Swin of timm'),
        (lambda: timm.create_model('resnet18'), 'a ResNet of torchvision'),
        (lambda: torchvision.models.resnet50(), 'a ResNet of torchvision'),
        (lambda: torchvision.models.vit_b_16(), 'weights of torchvision'),
        (lambda: torchvision.models.swin_t(), 'weights of torchvision'),
        (
            lambda: MODELS.build({'type': 'VisionTransformer', 'arch': 's'}),
            'bare backbone of mmpretrain',
        ),
    ],
)
@pytest.mark.parametrize(
    'wrap', [dict, lambda s: {'model': dict(s), 'epoch': 3}], ids=['bare', 'in']
)
def test_networks_of_other_libraries(build, name, wrap):
    kind = kind_of_content(wrap(names(build)))
    assert name in kind.name
    assert kind.advice


@pytest.mark.parametrize(
    ('content', 'name'),
    [
        (
            {'teacher': {'backbone.cls_token': 1, 'dino_head.mlp0.0.linear.weight': 1}},
            "authors' code",
        ),
        ({'state_dict': {'decode_head.conv_seg.weight': 1}}, 'a segmentor of mmsegmentation'),
        ({'state_dict': {'roi_head.bbox_head.0.fc_cls.weight': 1}}, 'a detector of mmdet'),
        ({'state': {}, 'param_groups': []}, 'the state of an optimiser alone'),
        ({'backbone': {}}, 'an extracted backbone'),
        ([1, 2], 'a saved list'),
        ({'anything': 1}, None),
    ],
)
def test_other_contents(content, name):
    kind = kind_of_content(content)
    assert (kind is None) if name is None else (name in kind.name)


def archive(*members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, 'w') as file:
        for member in members:
            file.writestr(member, 'x')
    return buffer.getvalue()


@pytest.mark.parametrize(
    ('file', 'content', 'words'),
    [
        ('empty.pth', b'', 'an empty file: download'),
        ('page.pth', b'<!DOCTYPE html><html>', 'a web page: download'),
        ('lfs.pth', b'version https://git-lfs.github.com/spec/v1\n', 'a pointer of Git LFS'),
        ('keras.h5', b'\x89HDF\r\n\x1a\n', 'an HDF5 file'),
        ('net.onnx', b'\x08\x07', 'an exported ONNX network'),
        ('net.pth.gz', b'\x1f\x8b\x08', 'packed with gzip'),
        ('zip.pth', archive('a.txt'), 'a zip archive'),
        ('script.pt', archive('m/data.pkl', 'm/code/x.py'), 'a TorchScript network'),
        ('features.npz', archive('features.npy'), 'arrays of NumPy'),
        ('config.json', b'{"a": 1}', 'a text file'),
    ],
)
def test_files_that_torch_cannot_read(tmp_path, file, content, words):
    path = tmp_path / file
    path.write_bytes(content)
    with pytest.raises(ValueError, match=words):
        read_file(path)
    with pytest.raises(ValueError, match=words):
        poa_mm.load_supernet(path)


def test_an_image_and_what_is_unknown(tmp_path):
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(tmp_path / 'a.jpg')
    assert kind_of_file(tmp_path / 'a.jpg').name == 'an image'
    (tmp_path / 'b').write_bytes(b'\0\1\2')
    assert kind_of_file(tmp_path / 'b') is None


def test_readers_say_what_a_file_is(tmp_path):
    safetensors.torch.save_file({'a': torch.ones(2)}, tmp_path / 'net.safetensors')
    with pytest.raises(ValueError, match=r'a file of safetensors: poa_mm\.load_backbone opens'):
        poa_mm.load_supernet(tmp_path / 'net.safetensors')
    torch.save(
        timm.create_model('vit_tiny_patch16_224', img_size=32).state_dict(), tmp_path / 't.pth'
    )
    with pytest.raises(ValueError, match=r'timm\.create_model\(NAME, checkpoint_path=FILE\)'):
        poa_mm.load_supernet(tmp_path / 't.pth')
    save_supernet(tmp_path / 's.pth')
    with pytest.raises(ValueError, match='it looks like a training checkpoint of POA'):
        poa_mm.load_backbone(tmp_path / 's.pth')
    net = MODELS.build(
        {**TINY_BACKBONE, 'init_cfg': {'type': 'Pretrained', 'checkpoint': str(tmp_path / 't.pth')}}
    )
    with pytest.raises(ValueError, match=r'do not fit.*weights of a ViT or Swin of timm'):
        net.init_weights()
