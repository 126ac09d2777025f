"""Converted ViTs against what the authors' networks compute, in plain loops in float64."""

import pytest
import torch
from helpers import ROOT
from mmengine.config import Config
from mmengine.runner import load_checkpoint
from official import vit
from official.parts import double, head_logits, hollow_state

import poa_mm
from poa_mm.checkpoints import load_config
from poa_mm.checkpoints.official import OfficialSettings, convert_official
from poa_mm.registry import MODELS

SETTINGS = OfficialSettings(head_dim=8, min_width=8, min_depth=2)
SUBNETS = [(8, 2), (8, 5), (16, 3), (24, 2), (24, 4), (24, 5)]
VIT_L = vit.Dims(1024, 24, 64, 4096, 16, 14, True, 2048, 256, (8192, 16384, 32768, 65536))


@pytest.fixture(scope='module')
def branches():
    return {'teacher': vit.state(0), 'student': vit.state(1)}


def images():
    side = vit.TINY.grid * vit.TINY.patch
    generator = torch.Generator().manual_seed(2)
    return torch.randn(3, 3, side, side, generator=generator, dtype=torch.float64)


def close(ours, theirs):
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-10)


@pytest.mark.parametrize('branch', ['teacher', 'student'])
def test_features_of_sub_networks(convert, branches, branch):
    _, path = convert(branches)
    net = poa_mm.load_supernet(path, branch).double()
    assert len(net.space) == 3 * 4
    for width, depth in SUBNETS:
        expected = vit.tokens(double(branches[branch]), images(), width, depth)[:, 0]
        assert expected.std() > 0.1
        close(net(images(), f'w{width}-d{depth}')[0].detach(), expected)


def test_masked_tokens_and_logits_of_the_model_that_the_file_describes(convert, branches):
    _, path = convert(branches)
    model = MODELS.build(load_config(path).model)
    load_checkpoint(model, str(path), strict=True)
    model.double()
    masks = torch.rand(3, vit.TINY.grid**2, generator=torch.Generator().manual_seed(3)) < 0.4
    for name, branch in (('teacher', model.teacher), ('student', model)):
        state = double(branches[name])
        for width, depth in SUBNETS:
            subnet = f'w{width}-d{depth}'
            class_tokens, patches = branch.backbone.tokens(images(), subnet, masks)
            expected = vit.tokens(state, images(), width, depth, masks=masks)
            close(class_tokens.detach(), expected[:, 0])
            close(patches.detach(), expected[:, 1:])
            logits = branch.head(class_tokens)
            assert [part.shape[1] for part in logits] == [7, 11]
            for ours, theirs in zip(
                logits, head_logits(state, expected[:, 0], vit.TINY), strict=True
            ):
                close(ours.detach(), theirs)


def test_without_layer_scale(convert):
    dims = vit.TINY._replace(layer_scale=False)
    state = vit.state(dims=dims)
    _, path = convert({'teacher': state})
    net = poa_mm.load_supernet(path).double()
    expected = vit.tokens(double(state), images(), 16, 3, dims)[:, 0]
    close(net(images(), 'w16-d3')[0].detach(), expected)


def full_size(path):
    torch.save({'teacher': hollow_state(vit.shapes(VIT_L))}, path)


def test_defaults_are_those_of_the_full_size_config(tmp_path):
    full_size(tmp_path / 'theirs.pth')
    found = convert_official(tmp_path / 'theirs.pth', tmp_path / 'ours.pth')
    cfg = Config.fromfile(ROOT / 'configs' / '_base_' / 'models' / 'poa_vit-l.py').model
    with torch.device('meta'):
        model = MODELS.build(cfg)
    content = torch.load(tmp_path / 'ours.pth', weights_only=True)
    shapes = {name: value.shape for name, value in content['state_dict'].items()}
    assert shapes == {name: value.shape for name, value in model.state_dict().items()}
    assert content['supernet']['backbone'] == {**model.backbone.config, 'in_channels': 3}
    assert len(found.space) == 143
    assert found.space['vit-s'] == found.space.smallest
    assert list(found.space) == list(model.backbone.space)
    assert found.space.gamma == 3.0


@pytest.mark.parametrize(
    ('width_interval', 'depth_interval', 'number', 'widths'),
    [
        (64, 1, 143, range(384, 1025, 64)),
        (128, 2, 42, range(384, 1025, 128)),
        (192, 3, 20, (384, 576, 768, 960)),
        (192, 4, 16, (384, 576, 768, 960)),
    ],
)
def test_intervals(tmp_path, width_interval, depth_interval, number, widths):
    """Table 19."""
    full_size(tmp_path / 'theirs.pth')
    settings = OfficialSettings(width_interval=width_interval, depth_interval=depth_interval)
    space = convert_official(tmp_path / 'theirs.pth', tmp_path / 'ours.pth', settings).space
    assert len(space) == number
    assert space.widths == tuple(widths)
    assert (space.intact.width, space.intact.depth) == (1024, 24)


def test_any_missing_key_is_refused(refused):
    """For the blocks and heads it is the last one that lacks something."""
    state = vit.state(dims=vit.Dims(depth=2, prototypes=(7, 11)))
    for key in vit.shapes(vit.Dims(depth=2, prototypes=(7,))):
        last = key.replace('blocks.0', 'blocks.1')
        last = last.replace('mlp0', 'mlp1').replace('layer0', 'layer1')
        print(last)  # is shown where this fails
        rest = {name: value for name, value in state.items() if name != last}
        assert len(rest) == len(state) - 1
        refused({'teacher': rest}, '(has no|without a value: )')


def test_missing_keys_are_listed_by_our_names(refused, branches):
    state = dict(branches['teacher'])
    del state['backbone.norm.norm.bias'], state['backbone.blocks.3.mlp.fc2.linear.weight']
    refused(
        {'teacher': state},
        r'teacher.*without a value: backbone\.layers\.3\.ffn\.layers\.1\.weight, '
        r'backbone\.ln1\.bias$',
    )


def test_a_student_of_another_size(refused, branches):
    student = vit.state(dims=vit.Dims(width=16))
    refused({**branches, 'student': student}, r'\(1, 10, 16\) for \(1, 10, 24\)')


@pytest.mark.parametrize(
    ('key', 'shape', 'message'),
    [
        ('backbone.pos_embed', (1, 9, 24), 'pos_embed has 9 tokens, not those of a square grid'),
        ('backbone.pos_embed', (1, 1, 24), 'pos_embed has 1 tokens, not those of a square grid'),
        ('backbone.pos_embed', (10, 24), r'pos_embed must have 3 dimensions.*\(10, 24\)'),
        ('backbone.pos_embed', (1, 0, 24), r'pos_embed must .*not be empty, got \(1, 0, 24\)'),
        ('backbone.patch_embed.proj.weight', (24, 48), 'proj.weight must have 4 dimensions'),
        ('backbone.patch_embed.proj.weight', (24, 3, 2, 4), r'\(24, 3, 2, 4\) for \(24, 3, 4, 4\)'),
        ('dino_head.last_layer1.weight_v', (11, 5), r'\(11, 5\) for \(11, 6\)'),
    ],
)
def test_dimensions_that_make_no_sense(refused, branches, key, shape, message):
    refused({'teacher': {**branches['teacher'], key: torch.zeros(shape)}}, message)


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        ({'head_dim': 7}, 'head_dim must divide the width 24, got 7'),
        ({'head_dim': 0}, 'head_dim must divide the width 24, got 0'),
        ({'head_dim': 64}, 'head_dim must divide the width 24, got 64'),
        ({'min_width': 12}, 'min_width must be a multiple of head_dim 8, got 12'),
        ({'min_width': 32}, 'min_width must be within 1…24, the intact width, got 32'),
        ({'min_width': 0}, 'min_width must be within 1…24, the intact width, got 0'),
        ({'min_depth': 6}, 'min_depth must be within 1…5, the intact depth, got 6'),
        ({'min_depth': 0}, 'min_depth must be within 1…5, the intact depth, got 0'),
        ({'width_interval': 4}, 'width_interval must be a multiple of head_dim 8, got 4'),
        ({'width_interval': 0}, 'width_interval must be positive, got 0'),
        ({'depth_interval': -1}, 'depth_interval must be positive, got -1'),
        ({'gamma': 0.5}, 'gamma must be at least 1, got 0.5'),
    ],
)
def test_settings_that_do_not_fit(refused, branches, settings, message):
    settings = OfficialSettings(**{'head_dim': 8, 'min_width': 8, 'min_depth': 2, **settings})
    refused(branches, message, settings)
