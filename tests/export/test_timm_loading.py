"""Loading folders exported to timm: arguments, and folders that are damaged or tampered with."""

import json

import pytest
import torch
from safetensors.torch import save_file
from tiny.families import build, images

from poa_mm.export import export_subnet, load_timm


def test_arguments_of_timm(tmp_path):
    path = tmp_path / 'net'
    export_subnet(build('vit'), 'smallest', path, 'timm')
    net = load_timm(path, dynamic_img_size=True, drop_path_rate=0.5)
    with torch.no_grad():
        assert net(images('vit', size=24)).shape == (2, 16)
    assert net.blocks[-1].drop_path1.drop_prob == 0.5
    with pytest.raises(ValueError, match='timm cannot load'):
        load_timm(path, embed_dim=24)
    with pytest.raises(ValueError, match='timm cannot load'):
        load_timm(path, colour='red')


@pytest.mark.parametrize('share', [0, 0.2, 0.99])
def test_truncated(share, tmp_path):
    path = tmp_path / 'net'
    export_subnet(build('vit'), 'smallest', path, 'timm')
    for name, message in (
        ('config.json', 'timm cannot load'),
        ('model.safetensors', r'model\.safetensors is not a safetensors file'),
    ):
        content = (path / name).read_bytes()
        (path / name).write_bytes(content[: int(share * len(content))])
        with pytest.raises(ValueError, match=message):
            load_timm(path)


def test_foreign_and_tampered(tmp_path):
    path = tmp_path / 'net'
    with pytest.raises(FileNotFoundError, match=r'no model\.safetensors in .*net'):
        load_timm(path)
    file = tmp_path / 'net.safetensors'
    export_subnet(build('vit'), 'smallest', file, 'safetensors')
    with pytest.raises(ValueError, match='is a file, where an export to timm is a folder'):
        load_timm(file)
    export_subnet(build('vit'), 'smallest', path, 'timm')
    weights = path / 'model.safetensors'
    content = bytearray(weights.read_bytes())
    content[-3] ^= 8
    weights.write_bytes(content)
    with pytest.raises(ValueError, match='has changed since it was written'):
        load_timm(path)
    save_file({'weight': torch.zeros(1)}, weights)
    with pytest.raises(ValueError, match='not of poa_mm'):
        load_timm(path)
    (path / 'config.json').unlink()
    with pytest.raises(FileNotFoundError, match=r'no config\.json'):
        load_timm(path)


@pytest.mark.parametrize(
    'change',
    [
        {'architecture': 'hf-hub:someone/else'},
        {'model_args': {'pretrained': True}},
        {'model_args': {'checkpoint_path': 'other.pth'}},
        {'model_args': {'cache_dir': 'elsewhere'}},
    ],
)
def test_a_folder_cannot_make_timm_load_anything_else(change, tmp_path):
    path = tmp_path / 'net'
    export_subnet(build('vit'), 'smallest', path, 'timm')
    config = json.loads((path / 'config.json').read_text())
    (path / 'config.json').write_text(json.dumps({**config, **change}))
    with pytest.raises(ValueError, match='timm cannot load'):
        load_timm(path)
