"""timm's networks from exported folders, and what is refused."""

import json
import math

import pytest
import timm
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import load_file
from tiny.checkpoints import save_checkpoint
from tiny.families import IMAGES, SIZE, SUPERNETS, build, images
from torchvision import transforms

from poa_mm.checkpoints.preprocessing import Preprocessing
from poa_mm.export import export_subnet, load_timm
from poa_mm.export.timm import _images


def features(net, batch, subnet):
    with torch.no_grad():
        return net.tokens(batch, subnet)[0]


def in_timm(folder, **kwargs):
    """The network as any user of timm opens it."""
    return timm.create_model(f'local-dir:{folder}', pretrained=True, **kwargs).eval()


def in_memory(folder):
    """The same network without timm's loader."""
    config = json.loads((folder / 'config.json').read_text())
    net = timm.create_model(config['architecture'], **config['model_args'])
    net.load_state_dict(load_file(folder / 'model.safetensors'), strict=True)
    return net.eval()


@pytest.fixture(scope='module', params=SUPERNETS)
def exported(request, tmp_path_factory):
    """Family, supernet in float32, and the folder of its largest sub-network."""
    net, folder = build(request.param), tmp_path_factory.mktemp('export') / 'net'
    export_subnet(net, 'largest', folder, 'timm', image_size=SIZE[request.param])
    return request.param, net, folder


@torch.no_grad()
def test_timm_opens_the_folder_by_itself(exported):
    family, net, folder = exported
    assert sorted(file.name for file in folder.iterdir()) == [
        'README.md', 'card.json', 'config.json', 'model.safetensors'
    ]  # fmt: skip
    batch = images(family)
    stranger = in_timm(folder)
    got = stranger(batch)
    assert torch.equal(got, in_memory(folder)(batch))
    expected = features(net, batch, 'largest')
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-5 * expected.abs().max().item())


@torch.no_grad()
def test_its_maps(exported):
    family, net, folder = exported
    batch = images(family)
    maps = in_timm(folder, features_only=True)(batch)
    expected = in_memory(folder).forward_intermediates(batch, intermediates_only=True)
    for got, other in zip(maps, expected[-len(maps) :], strict=True):
        assert torch.equal(got, other.permute(0, 2, 3, 1) if family == 'swin' else other)
    if family == 'resnet':  # timm gives the maps of the others before the last norm
        torch.testing.assert_close(maps[-1], net(batch, 'largest')[-1], rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_a_new_head_other_channels_and_other_sizes(exported):
    family, net, folder = exported
    batch, expected = images(family), in_memory(folder)(images(family))
    net = in_timm(folder, num_classes=10)
    assert torch.equal(net.forward_head(net.forward_features(batch), pre_logits=True), expected)
    assert net(batch).shape == (2, 10)
    grey = batch[:, :1]  # weights of the three channels are added up
    torch.testing.assert_close(
        in_timm(folder, in_chans=1)(grey), in_memory(folder)(grey.expand(-1, 3, -1, -1)),
        rtol=1e-4, atol=1e-5,
    )  # fmt: skip
    larger = images(family, size=2 * SIZE[family])
    if family == 'resnet':
        assert in_timm(folder)(larger).shape == expected.shape
        return
    resized = in_timm(folder, img_size=2 * SIZE[family])
    assert resized(larger).shape == expected.shape
    dynamic = in_timm(folder, dynamic_img_size=True)
    torch.testing.assert_close(dynamic(batch), expected)
    torch.testing.assert_close(dynamic(larger), resized(larger), rtol=1e-4, atol=1e-4)


def test_the_config_is_what_timm_writes(exported, tmp_path):
    """So that the folder can be uploaded to the Hub, or saved by timm after fine-tuning."""
    folder = exported[-1]
    timm.models.save_for_hf(in_timm(folder), tmp_path, safe_serialization=True)
    ours = json.loads((folder / 'config.json').read_text())
    ours['model_args'].pop('drop_path_rate', None)  # timm leaves out regularisation
    assert json.loads((tmp_path / 'config.json').read_text()) == ours
    theirs = load_file(tmp_path / 'model.safetensors')
    weights = load_file(folder / 'model.safetensors')
    assert weights.keys() == theirs.keys()
    assert all(torch.equal(theirs[name], value) for name, value in weights.items())


def test_the_hub_opens_it(exported, tmp_path, monkeypatch):
    """The folder as the Hub's client would have downloaded it."""
    family, _, folder = exported
    repository = tmp_path / 'models--someone--net'
    (repository / 'refs').mkdir(parents=True)
    (repository / 'refs' / 'main').write_text('0' * 40)
    (repository / 'snapshots').mkdir()
    (repository / 'snapshots' / ('0' * 40)).symlink_to(folder, target_is_directory=True)
    monkeypatch.setattr('huggingface_hub.constants.HF_HUB_OFFLINE', True)
    net = timm.create_model('hf-hub:someone/net', pretrained=True, cache_dir=tmp_path).eval()
    with torch.no_grad():
        assert torch.equal(net(images(family)), in_memory(folder)(images(family)))
    text = (folder / 'README.md').read_text()
    assert text.startswith('---\nlibrary_name: timm\npipeline_tag: image-feature-extraction\n')
    assert '\n---\n# largest' in text


@pytest.mark.parametrize('size', [(16, 24), (24, 16)])
@torch.no_grad()
def test_positions_of_a_grid_that_is_no_square(size, tmp_path):
    """timm resizes them from the grid that they are for."""
    net, folder = build('vit', img_size=size), tmp_path / 'net'
    export_subnet(net, 'smallest', folder, 'timm')
    batch = torch.randn(2, 3, *size)
    torch.testing.assert_close(
        in_timm(folder)(batch), features(net, batch, 'smallest'), rtol=0, atol=1e-5
    )
    turned = in_timm(folder, img_size=size[::-1])  # as many patches in another grid
    reference = timm.layers.resample_abs_pos_embed(
        in_memory(folder).pos_embed,
        new_size=[side // 4 for side in size[::-1]],
        old_size=[side // 4 for side in size],
    )
    assert torch.equal(turned.pos_embed, reference)


@pytest.mark.parametrize('family', SUPERNETS)
@settings(deadline=None, max_examples=4)
@given(data=st.data())
def test_round_trip(data, family, tmp_path_factory):
    net = build(family, torch.float64)
    subnet = data.draw(st.sampled_from(net.subnets))
    path = tmp_path_factory.mktemp('export') / 'net'
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
        {'norm_cfg': {'type': 'LN', 'eps': 1e-5}},
        {'patch_cfg': {'norm_cfg': {'type': 'LN', 'eps': 1e-6}}},
        {'layer_cfgs': {'act_cfg': {'type': 'ReLU'}}},
        {'layer_cfgs': {'act_cfg': {'type': 'GELU', 'approximate': 'tanh'}}},
        {'layer_cfgs': {'act_cfg': {'type': 'Swish'}}},
        # Sub-networks of two blocks have the first and the last one.
        {'layer_cfgs': [{'act_cfg': {'type': kind}} for kind in ('ReLU', 'GELU', 'GELU', 'ReLU')],
         'depths': [2]},
    ],
    ids=lambda overrides: next(iter(overrides)),
)  # fmt: skip
def test_settings_of_vision_transformers(overrides, tmp_path):
    net = build('vit', torch.float64, **overrides)
    for subnet in ('smallest', 'w24-d2' if overrides.get('depths') else 'w24-d3'):
        path = tmp_path / subnet
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
    path = tmp_path / 'net'
    export_subnet(net, 'largest', path, 'timm')
    batch = images('swin', dtype=torch.float64, size=overrides.get('img_size', 64))
    with torch.no_grad():
        got = load_timm(path)(batch)
    torch.testing.assert_close(got, features(net, batch, 'largest'), rtol=0, atol=1e-10)


OFFICIAL = {'official': True, 'widths': [32], 'depths': [7]}
NOT_PADDED = {'pad_small_map': False, 'window_size': 2}
LAST_SHIFTED = {'arch': {**SUPERNETS['swin']['arch'], 'depths': [1, 2, 4, 2]}, 'depths': [9]}
LEAKY = {'layer_cfgs': {'act_cfg': {'type': 'LeakyReLU', 'negative_slope': 0.3}}}
MIXED = {'layer_cfgs': [{'act_cfg': {'type': kind}} for kind in ('GELU', 'ReLU') * 2]}
THREE_STAGES = {
    'arch': {'stage_blocks': (1, 2, 3), 'mid_channels': 64, 'out_channels': 128},
    'depths': [(1, 2, 3)],
    'out_indices': (2,),
}
REFUSED = [
    ('vit', {'img_size': 18}, {}, r'whole patches of 4 × 4 pixels alone.*18 × 18'),
    ('vit', {'norm_cfg': {'type': 'LN', 'eps': 1e-2}}, {}, 'norm_cfg gives.* eps=0.01; another'),
    ('vit', {'patch_cfg': {'norm_cfg': {'type': 'LN'}}}, {}, 'patch_cfg with norm_cfg.*1e-05'),
    ('vit', LEAKY, {}, r'act_cfg gives this network LeakyReLU\(negative_slope=0.3\)'),
    ('vit', MIXED, {}, r'one activation.* gives this network GELU.*, ReLU\(\)'),
    ('vit', {'patch_cfg': {'bias': False}}, {}, 'patch_cfg gives this network bias=False'),
    ('vit', {'patch_cfg': {'padding': 1}}, {}, r'padding=\(1, 1\)'),
    ('vit', {'with_cls_token': False, 'out_type': 'featmap'}, {}, 'with_cls_token=False'),
    ('vit', {}, {'image_size': -3}, 'image_size must be positive'),
    ('swin', {}, {'image_size': 72}, r'windows of 4 otherwise in a map of 9 × 9.* 128'),
    ('swin', NOT_PADDED | LAST_SHIFTED, {'image_size': (128, 64)}, 'a map of 4 × 2'),
    ('swin', OFFICIAL, {}, r'shift by \[0, 2, 2\]'),
    (
        'swin',
        {'norm_cfg': {'type': 'LN', 'eps': 1e-6}},
        {},
        'norm_cfg gives .* eps=1e-06 and 1e-05',
    ),
    ('swin', {'norm_cfg': None}, {}, 'norm_cfg gives this network Identity'),
    ('resnet', {'norm_cfg': {'type': 'GN', 'num_groups': 16}}, {}, '32 or 1 groups.*16'),
    ('resnet', {'norm_cfg': {'type': 'GN', 'num_groups': 32, 'eps': 1e-3}}, {}, 'eps=0.001'),
    (
        'resnet',
        {'norm_cfg': {'type': 'GN', 'num_groups': 32, 'affine': False}},
        {},
        'weight and bias',
    ),
    ('resnet', {'stem_channels': 32}, {}, '64 channels in its stem, not 32'),
    ('resnet', {'strides': (1, 1, 2, 2)}, {}, r'strides \(1, 2, 2, 2\).* \(1, 1, 2, 2\)'),
    ('resnet', {'style': 'caffe'}, {}, "style='caffe'"),
    ('resnet', THREE_STAGES, {}, r'four stages .* strides \(1, 2, 2\)'),
]


@pytest.mark.parametrize(('family', 'overrides', 'arguments', 'message'), REFUSED)
def test_what_timm_cannot_express(family, overrides, arguments, message, tmp_path):
    net = build(family, **overrides)
    if family == 'resnet':
        arguments = {'image_size': 32}
    path = tmp_path / 'net'
    with pytest.raises(ValueError, match=message) as caught:
        export_subnet(net, 'smallest', path, 'timm', **arguments)
    assert '\n' not in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    'overrides',
    [
        {'norm_cfg': {'type': 'GN', 'num_groups': 1}},
        # Middle channels whose share of the output is no fraction of 64.
        {'norm_cfg': {'type': 'GN', 'num_groups': 1}, 'widths': [5, 23, 37],
         'arch': {'stage_blocks': (1, 2, 3, 1), 'mid_channels': 37, 'out_channels': 96}},
    ],
    ids=['one group', 'odd widths'],
)  # fmt: skip
def test_settings_of_resnets(overrides, tmp_path):
    net, path = build('resnet', torch.float64, **overrides), tmp_path / 'net'
    subnet = net.subnets[len(net.subnets) // 2]
    export_subnet(net, subnet, path, 'timm', image_size=32)
    batch = images('resnet', dtype=torch.float64)
    with torch.no_grad():
        got = load_timm(path)(batch)
    torch.testing.assert_close(got, features(net, batch, subnet), rtol=0, atol=1e-10)


def test_images_are_prepared_as_in_training(tmp_path):
    net = build('swin')
    checkpoint = save_checkpoint(tmp_path / 'iter_1.pth', net)
    path = tmp_path / 'net'
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
    assert timm.data.resolve_data_config({}, model=in_timm(path)) == data


@pytest.mark.parametrize('resized', range(64, 128))
def test_crops_are_those_of_ours(resized):
    """timm rounds down what it resizes to; a share that rounds to 72.99… must give 73."""
    ours = Preprocessing((64, 64), crop_ratio=64 / resized, interpolation='nearest-exact')
    data = _images(ours)
    assert math.floor(64 / data['crop_pct']) == resized
    assert data['crop_pct'] == pytest.approx(64 / resized)
    image = Image.radial_gradient('L').resize((150, 130)).convert('RGB')
    theirs = timm.data.create_transform(input_size=(3, 64, 64), **data)
    by_hand = transforms.Compose([
        transforms.Resize(resized, transforms.InterpolationMode.NEAREST_EXACT),
        transforms.CenterCrop(64),
        transforms.ToTensor(),
        transforms.Normalize(ours.unit_mean, ours.unit_std),
    ])  # fmt: skip
    torch.testing.assert_close(theirs(image), by_hand(image))


def test_another_image_size_is_exact_too(tmp_path):
    """timm would resize position embeddings by another rule."""
    net, path = build('vit', torch.float64), tmp_path / 'net'
    export_subnet(net, 'smallest', path, 'timm', image_size=24)
    batch = images('vit', dtype=torch.float64, size=24)
    with torch.no_grad():
        got = load_timm(path)(batch)
    torch.testing.assert_close(got, features(net, batch, 'smallest'), rtol=0, atol=1e-10)
