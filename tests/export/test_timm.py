"""timm's networks from exported files, and what is refused."""

import json

import pytest
import timm
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from tiny_families import IMAGES, SIZE, SUPERNETS, build, images, save_checkpoint

from poa_mm.engine.tensor_file import read_tensors, write_tensors
from poa_mm.export import export_subnet, load_timm


def features(net, batch, subnet):
    with torch.no_grad():
        return net.tokens(batch, subnet)[0]


@pytest.mark.parametrize('family', SUPERNETS)
@settings(deadline=None, max_examples=8)
@given(data=st.data())
def test_round_trip(data, family, tmp_path_factory):
    net = build(family, torch.float64)
    subnet = data.draw(st.sampled_from(net.subnets))
    path = tmp_path_factory.mktemp('export') / 'net.safetensors'
    card = export_subnet(net, subnet, path, 'timm', image_size=SIZE[family])
    stranger = load_timm(path)
    assert type(stranger).__module__.startswith('timm.')
    assert not stranger.training
    batch = images(family, dtype=torch.float64)
    with torch.no_grad():
        got = stranger(batch)
    torch.testing.assert_close(got, features(net, batch, subnet), rtol=0, atol=1e-10)
    assert card.difference < 1e-9
    assert sum(p.numel() for p in stranger.parameters()) == card.params == net.num_params(subnet)


@pytest.mark.parametrize(
    'overrides',
    [
        {'layer_scale_init_value': 0.0},
        {'qkv_bias': False},
        {'pre_norm': True},
        {'final_norm': False},
        {'out_type': 'featmap'},
        {'out_indices': [0, 1]},
        {'img_size': [16, 24]},
        {'arch': {'embed_dims': 32, 'num_layers': 4, 'num_heads': 4, 'feedforward_channels': 44}},
    ],
    ids=lambda overrides: next(iter(overrides)),
)
def test_settings_of_vision_transformers(overrides, tmp_path):
    net = build('vit', torch.float64, **overrides)
    for subnet in ('smallest', 'w24-d3'):
        path = tmp_path / f'{subnet}.safetensors'
        export_subnet(net, subnet, path, 'timm')
        size = overrides.get('img_size', [16, 16])
        batch = torch.randn(2, 3, *size, dtype=torch.float64)
        with torch.no_grad():
            got = load_timm(path)(batch)
        torch.testing.assert_close(got, features(net, batch, subnet), rtol=0, atol=1e-10)


@pytest.mark.parametrize(
    'overrides',
    [
        {'pad_small_map': False, 'window_size': 2},
        {'out_indices': (0, 1, 2, 3)},
        {'official': True, 'widths': [32], 'depths': [8]},
        # The third map has one window and shifted blocks, the last one is padded.
        {'patch_size': 2, 'img_size': 32},
        # Maps that windows do not fit into, but no shifted block in them.
        {'arch': {**SUPERNETS['swin']['arch'], 'depths': [1, 1, 4, 1]}, 'img_size': 80,
         'depths': [7], 'window_size': 5},
    ],
    ids=['no padding', 'all stages', 'official', 'small maps', 'no shift'],
)  # fmt: skip
def test_settings_of_swin(overrides, tmp_path):
    net = build('swin', torch.float64, **overrides)
    path = tmp_path / 'net.safetensors'
    export_subnet(net, 'largest', path, 'timm')
    batch = images('swin', dtype=torch.float64, size=overrides.get('img_size', 64))
    with torch.no_grad():
        got = load_timm(path)(batch)
    torch.testing.assert_close(got, features(net, batch, 'largest'), rtol=0, atol=1e-10)


OFFICIAL = {'official': True, 'widths': [32], 'depths': [7]}
NOT_PADDED = {'pad_small_map': False, 'window_size': 2}
LAST_SHIFTED = {'arch': {**SUPERNETS['swin']['arch'], 'depths': [1, 2, 4, 2]}, 'depths': [9]}
REFUSED = [
    ('vit', {'img_size': 18}, {}, r'whole patches of 4 × 4 pixels alone.*18 × 18'),
    ('vit', {'norm_cfg': {'type': 'LN', 'eps': 1e-2}}, {}, 'outputs of the exported'),
    ('vit', {'layer_cfgs': {'act_cfg': {'type': 'ReLU'}}}, {}, 'outputs of the exported'),
    ('vit', {'with_cls_token': False, 'out_type': 'featmap'}, {}, 'with_cls_token=False'),
    ('vit', {}, {'image_size': -3}, 'image_size must be positive'),
    ('swin', {}, {'image_size': 72}, r'windows of 4 otherwise in a map of 9 × 9.* 128'),
    ('swin', NOT_PADDED | LAST_SHIFTED, {'image_size': (128, 64)}, 'a map of 4 × 2'),
    ('swin', OFFICIAL, {}, r'shift by \[0, 2, 2\]'),
    ('resnet', {'norm_cfg': {'type': 'GN', 'num_groups': 16}}, {}, '32 groups.*16'),
    ('resnet', {'stem_channels': 32}, {}, '64 channels in its stem, not 32'),
]


@pytest.mark.parametrize(('family', 'overrides', 'arguments', 'message'), REFUSED)
def test_what_timm_cannot_express(family, overrides, arguments, message, tmp_path):
    net = build(family, **overrides)
    if family == 'resnet':
        arguments = {'image_size': 32}
    path = tmp_path / 'net.safetensors'
    with pytest.raises(ValueError, match=message):
        export_subnet(net, 'smallest', path, 'timm', **arguments)
    assert not list(tmp_path.iterdir())


def test_images_are_prepared_as_in_training(tmp_path):
    net = build('swin')
    checkpoint = save_checkpoint(tmp_path / 'iter_1.pth', net)
    path = tmp_path / 'net.safetensors'
    export_subnet(net, 'smallest', path, 'timm', checkpoint=checkpoint)
    data = timm.data.resolve_model_data_config(load_timm(path))
    assert list(data['input_size']) == [3, 64, 64]
    assert data['mean'] == pytest.approx(
        [value / 255 for value in IMAGES['data_preprocessor']['mean']]
    )
    assert data['std'] == pytest.approx(
        [value / 255 for value in IMAGES['data_preprocessor']['std']]
    )
    assert (data['crop_pct'], data['interpolation']) == (0.8, 'bilinear')


def test_another_image_size_is_exact_too(tmp_path):
    """timm would resize position embeddings by another rule."""
    net, path = build('vit', torch.float64), tmp_path / 'net.safetensors'
    export_subnet(net, 'smallest', path, 'timm', image_size=24)
    batch = images('vit', dtype=torch.float64, size=24)
    with torch.no_grad():
        got = load_timm(path)(batch)
    torch.testing.assert_close(got, features(net, batch, 'smallest'), rtol=0, atol=1e-10)


def test_arguments_of_timm(tmp_path):
    path = tmp_path / 'net.safetensors'
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
    path = tmp_path / 'net.safetensors'
    export_subnet(build('vit'), 'smallest', path, 'timm')
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(ValueError, match=r'net\.safetensors is not a safetensors file'):
        load_timm(path)


def test_foreign_and_tampered(tmp_path):
    path = tmp_path / 'net.safetensors'
    with pytest.raises(FileNotFoundError, match='no checkpoint at'):
        load_timm(path)
    save_file({'weight': torch.zeros(1)}, path)
    with pytest.raises(ValueError, match='not of poa_mm'):
        load_timm(path)
    export_subnet(build('vit'), 'smallest', path, 'safetensors', overwrite=True)
    with pytest.raises(ValueError, match=r'not exported to timm.*load_backbone'):
        load_timm(path)
    export_subnet(build('vit'), 'smallest', path, 'timm', overwrite=True)
    content = bytearray(path.read_bytes())
    content[-3] ^= 8
    path.write_bytes(content)
    with pytest.raises(ValueError, match='has changed since it was written'):
        load_timm(path)


@pytest.mark.parametrize(
    'change',
    [
        {'model': 'hf-hub:someone/else'},
        {'kwargs': {'pretrained': True}},
        {'kwargs': {'checkpoint_path': 'other.pth'}},
        {'kwargs': {'cache_dir': 'elsewhere'}},
    ],
)
def test_a_file_cannot_make_timm_load_anything_else(change, tmp_path):
    path = tmp_path / 'net.safetensors'
    export_subnet(build('vit'), 'smallest', path, 'timm')
    state, metadata = read_tensors(path)
    write_tensors(
        state, {**metadata, 'timm': json.dumps({**json.loads(metadata['timm']), **change})}, path
    )
    with pytest.raises(ValueError, match=r'would have timm load .*: refused'):
        load_timm(path)
