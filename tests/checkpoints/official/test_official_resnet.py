"""Converted ResNets against what the authors' networks compute, in float64."""

import itertools

import pytest
import torch
from helpers import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.config import Config
from mmengine.runner import load_checkpoint
from mmpretrain.models.backbones import ResNet
from official import resnet
from official.parts import double, head_logits, hollow_state

import poa_mm
from poa_mm.checkpoints import load_config, save_backbone
from poa_mm.checkpoints.official import OfficialSettings, convert_official
from poa_mm.elastic import Subnet
from poa_mm.registry import MODELS

SMALLEST = (1, 1, 2, 1)
SETTINGS = OfficialSettings(num_groups=4, min_width=8, min_depth=SMALLEST)
SUBNETS = [
    Subnet(width, (1, second, third, 1))
    for width, second, third in itertools.product((8, 12, 16), (1, 2, 3), (2, 3, 4))
]
FULL = resnet.Dims(64, 128, 256, (3, 8, 36, 3), 32, 2048, 256, (8192, 16384, 32768, 65536))


@pytest.fixture(scope='module')
def branches():
    return {'teacher': resnet.state(0), 'student': resnet.state(1)}


@pytest.fixture(scope='module')
def path(branches, tmp_path_factory):
    folder = tmp_path_factory.mktemp('resnet')
    torch.save(branches, folder / 'theirs.pth')
    convert_official(folder / 'theirs.pth', folder / 'ours.pth', SETTINGS)
    return folder / 'ours.pth'


@pytest.fixture(scope='module')
def nets(path):
    return {name: poa_mm.load_supernet(path, name).double() for name in ('teacher', 'student')}


def images(size=64):
    generator = torch.Generator().manual_seed(2)
    return torch.randn(2, 3, size, size, generator=generator, dtype=torch.float64)


def some_masks():
    """Of a map of 16 × 16 at 64 pixels: 4 × 4 patches."""
    return torch.rand(2, 4, 4, generator=torch.Generator().manual_seed(3)) < 0.4


def close(ours, theirs):
    torch.testing.assert_close(ours.detach(), theirs, rtol=0, atol=1e-10)


@settings(deadline=None, max_examples=40)
@given(st.sampled_from(['teacher', 'student']), st.sampled_from(SUBNETS), st.sampled_from([64, 75]))
def test_features_and_extracted_maps_of_all_sub_networks(nets, branches, branch, subnet, size):
    expected = resnet.stage_maps(double(branches[branch]), images(size), subnet.width, subnet.depth)
    assert min(stage.std() for stage in expected) > 0.1
    net = nets[branch]
    assert len(net.space) == len(SUBNETS)
    (last,) = net(images(size), subnet)
    close(last, expected[-1])
    stock = net.extract(subnet, out_indices=(0, 1, 2, 3))
    assert isinstance(stock, ResNet)
    for ours, theirs in zip(stock(images(size)), expected, strict=True):
        close(ours, theirs)


def test_masked_tokens_and_logits_of_the_model_that_the_file_describes(path, branches):
    model = MODELS.build(load_config(path).model)
    load_checkpoint(model, str(path), strict=True)
    model.double()
    for name, branch in (('teacher', model.teacher), ('student', model)):
        state = double(branches[name])
        for subnet in SUBNETS[::4]:
            class_tokens, patches = branch.backbone.tokens(
                images(), subnet, some_masks().flatten(1)
            )
            expected = resnet.tokens(
                state, images(), subnet.width, subnet.depth, masks=some_masks()
            )
            close(class_tokens, expected[0])
            close(patches, expected[1].flatten(1, 2))
            for ours, theirs in zip(
                branch.head(class_tokens),
                head_logits(state, expected[0], resnet.TINY),
                strict=True,
            ):
                close(ours, theirs)


def test_the_result_is_plain_data_and_a_complete_supernet(convert, branches, tmp_path):
    found, path = convert(branches)
    content = torch.load(path, weights_only=True)
    model = MODELS.build(found.model)
    model.load_state_dict(content['state_dict'], strict=True)
    assert content['supernet']['backbone'] == model.backbone.config
    assert found.space.widths == (8, 12, 16)
    assert found.space.weighted == ('depth',)
    assert set(found.space) == set(SUBNETS)
    net = poa_mm.load_supernet(path)
    save_backbone(net, 'w12-d1-2-3-1', tmp_path / 'net.pth')
    stock = poa_mm.load_backbone(tmp_path / 'net.pth')
    crops = images().float()
    torch.testing.assert_close(stock(crops)[0], net(crops, 'w12-d1-2-3-1')[0])


def test_wrappers_in_names(convert, branches):
    plain = torch.load(convert(branches)[1], weights_only=True)
    renamed = {
        branch: {'._fsdp_wrapped_module.'.join(key.split('.')): v for key, v in state.items()}
        for branch, state in branches.items()
    }
    other = torch.load(convert(renamed)[1], weights_only=True)
    assert other['supernet'] == plain['supernet']
    assert other['state_dict'].keys() == plain['state_dict'].keys()
    for name, value in plain['state_dict'].items():
        assert torch.equal(other['state_dict'][name], value)


def test_defaults_are_those_of_the_full_size_config(tmp_path):
    torch.save({'teacher': hollow_state(resnet.shapes(FULL))}, tmp_path / 'theirs.pth')
    found = convert_official(tmp_path / 'theirs.pth', tmp_path / 'ours.pth')
    cfg = Config.fromfile(ROOT / 'configs' / '_base_' / 'models' / 'poa_resnet-152.py').model
    backbone = found.model['backbone']
    for name in ('type', 'widths', 'gamma', 'norm_cfg'):
        assert backbone[name] == cfg.backbone[name]
    depths = [tuple(depth) for depth in backbone['depths']]
    assert depths == [tuple(depth) for depth in cfg.backbone.depths]
    assert tuple(backbone['arch']['stage_blocks']) == tuple(cfg.backbone.arch.stage_blocks)
    assert backbone['arch']['mid_channels'] == cfg.backbone.arch.mid_channels
    assert {name: found.model['head'][name] for name in cfg.head} == cfg.head
    assert len(found.space) == 465
    assert str(found.space['resnet-101']) == 'w64-d3-4-23-3'


def test_any_missing_key_is_refused(refused, branches):
    state = branches['teacher']
    keys = [
        key
        for key in sorted(resnet.shapes())
        if key.startswith('backbone.') and ('layer' not in key or 'layer4' in key)
    ]
    for key in keys:
        print(key)  # is shown where this fails
        rest = {name: value for name, value in state.items() if name != key}
        assert len(rest) == len(state) - 1
        refused({'teacher': rest}, '(has no|without a value: )')


@pytest.mark.parametrize(
    'key',
    [
        'backbone.layer1.layers.0.downsample.2.weight',  # of a network with avg_down
        'backbone.layer1.layers.0.conv4.conv.weight',
        'backbone.layer2.layers.1.downsample.0.weight',
        'backbone.layer5.layers.0.norm1.weight',
        'backbone.layer1.0.conv1.weight',
        'backbone.norm1.running_mean',
        'backbone.fc.weight',
    ],
)
def test_extra_keys_are_refused(refused, branches, key):
    state = {**branches['teacher'], key: torch.zeros(32)}
    refused({'teacher': state}, f'without a place here: {key}$')


@pytest.mark.parametrize(
    ('key', 'shape', 'message'),
    [
        ('conv1.weight', (8, 147), 'conv1.weight must have 4 dimensions'),
        ('layer1.layers.0.conv1.conv.weight', (18, 8, 1, 1), 'divide the widths 8, 18 and 32'),
        ('layer1.layers.0.conv3.conv.weight', (0, 16, 1, 1), 'not be empty'),
        ('layer3.layers.1.conv2.conv.weight', (64, 32, 3, 3), r'\(64, 32, 3, 3\) for \(64, 64, '),
        ('mask_token', (1, 8), r'\(1, 8\) for \(1, 8, 1, 1\)'),
    ],
)
def test_dimensions_that_make_no_sense(refused, branches, key, shape, message):
    state = {**branches['teacher'], f'backbone.{key}': torch.zeros(shape)}
    refused({'teacher': state}, message)


def test_a_stage_that_is_missing(refused, branches):
    state = {key: v for key, v in branches['teacher'].items() if 'layer4' not in key}
    refused({'teacher': state}, r'within \(1, 1, 1, 1\)…\(1, 3, 4, 0\), the intact depth')


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'num_groups': 32}, 'num_groups must divide the widths 8, 16 and 32, got 32'),
        ({'num_groups': 0}, 'num_groups must divide .*, got 0'),
        ({'head_dim': 8}, 'it is a ResNet, which takes num_groups, .*; got head_dim'),
        ({'min_width': 10}, 'min_width must be a multiple of num_groups 4, got 10'),
        ({'min_width': 20}, 'min_width must be within 1…16, the intact width, got 20'),
        ({'width_interval': 2}, 'width_interval must be a multiple of num_groups 4, got 2'),
        ({'min_depth': 6}, r'4 numbers within \(1, 1, 1, 1\)…\(1, 3, 4, 1\).*, got 6'),
        ({'min_depth': (1, 1, 1)}, r'got \(1, 1, 1\)'),
        ({'min_depth': (1, 4, 4, 1)}, r'got \(1, 4, 4, 1\)'),
        ({'min_depth': (1, 0, 4, 1)}, r'got \(1, 0, 4, 1\)'),
        ({'depth_interval': 0}, 'depth_interval must be positive, got 0'),
    ],
)
def test_settings_that_do_not_fit(refused, branches, changes, message):
    given = {'num_groups': 4, 'min_width': 8, 'min_depth': SMALLEST}
    refused(branches, message, OfficialSettings(**{**given, **changes}))


def test_intervals(convert, branches):
    chosen = OfficialSettings(
        num_groups=4, min_width=8, min_depth=SMALLEST, width_interval=8, depth_interval=2
    )
    space = convert(branches, chosen)[0].space
    assert space.widths == (8, 16)
    assert space.depths == ((1, 1, 2, 1), (1, 1, 4, 1), (1, 3, 2, 1), (1, 3, 4, 1))
