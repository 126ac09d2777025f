"""Converted Swin Transformers against what the authors' networks compute, in float64."""

import pytest
import torch
from helpers import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.config import Config
from mmengine.runner import load_checkpoint
from mmpretrain.models.backbones import SwinTransformer
from official import swin
from official.parts import double, head_logits, hollow_state

import poa_mm
from poa_mm.checkpoints import load_config, save_backbone
from poa_mm.checkpoints.official import OfficialSettings, convert_official
from poa_mm.registry import MODELS

SETTINGS = OfficialSettings(min_width=8, min_depth=6)
SUBNETS = [(width, depth) for width in (8, 16, 24) for depth in range(6, 11)]
SWIN_B = swin.Dims(128, 16, (2, 2, 18, 2), 7, 4, 4, 2048, 256, (8192, 16384, 32768, 65536))
BRANCHES = ('teacher', 'student')
MERGING = 'reduction.linear.weight'
TABLE = 'backbone.stages.1.blocks.0.attn.w_msa.relative_position_bias_table'


@pytest.fixture(scope='module')
def branches():
    return {'teacher': swin.state(0), 'student': swin.state(1)}


@pytest.fixture(scope='module')
def path(branches, tmp_path_factory):
    folder = tmp_path_factory.mktemp('swin')
    torch.save(branches, folder / 'theirs.pth')
    convert_official(folder / 'theirs.pth', folder / 'ours.pth', SETTINGS)
    return folder / 'ours.pth'


@pytest.fixture(scope='module')
def nets(path):
    return {branch: poa_mm.load_supernet(path, branch).double() for branch in BRANCHES}


def images(size=48):
    generator = torch.Generator().manual_seed(2)
    return torch.randn(2, 3, size, size, generator=generator, dtype=torch.float64)


def some_masks():
    """Of a map of 24 × 24 at 48 pixels: 6 × 6 patches."""
    return torch.rand(2, 6, 6, generator=torch.Generator().manual_seed(3)) < 0.4


def close(ours, theirs):
    torch.testing.assert_close(ours.detach(), theirs, rtol=0, atol=1e-10)


@settings(deadline=None, max_examples=40)
@given(
    st.sampled_from(BRANCHES),
    st.sampled_from(SUBNETS),
    st.sampled_from([32, 48, 40]),  # the last two stages of 32 and 40 are padded
)
def test_maps_of_all_stages_of_all_sub_networks(nets, branches, branch, subnet, size):
    expected = swin.stage_maps(double(branches[branch]), images(size), *subnet)
    assert min(stage.std() for stage in expected) > 0.1
    maps = nets[branch](images(size), 'w{}-d{}'.format(*subnet))
    assert len(maps) == 4
    for ours, theirs in zip(maps, expected, strict=True):
        close(ours, theirs.permute(0, 3, 1, 2))


def test_masked_tokens_and_logits_of_the_model_that_the_file_describes(path, branches):
    model = MODELS.build(load_config(path).model)
    load_checkpoint(model, str(path), strict=True)
    model.double()
    for name, branch in (('teacher', model.teacher), ('student', model)):
        state = double(branches[name])
        for width, depth in SUBNETS[::2]:
            class_tokens, patches = branch.backbone.tokens(
                images(), f'w{width}-d{depth}', some_masks().flatten(1)
            )
            expected = swin.tokens(state, images(), width, depth, masks=some_masks())
            close(class_tokens, expected[0])
            close(patches, expected[1].flatten(1, 2))
            for ours, theirs in zip(
                branch.head(class_tokens),
                head_logits(state, expected[0], swin.TINY),
                strict=True,
            ):
                close(ours, theirs)


@settings(deadline=None, max_examples=15)
@given(st.sampled_from(SUBNETS), st.sampled_from([40, 48]))
def test_extracted_networks_of_the_intact_width(nets, branches, subnet, size):
    name = 'w{}-d{}'.format(*subnet)
    if subnet[0] < 24:
        with pytest.raises(ValueError, match='only sub-networks of width 24 can be extracted'):
            nets['teacher'].extract(name)
        return
    stock = nets['teacher'].extract(name)
    assert type(stock) is SwinTransformer
    expected = swin.stage_maps(double(branches['teacher']), images(size), *subnet)
    for ours, theirs in zip(stock(images(size)), expected, strict=True):
        close(ours, theirs.permute(0, 3, 1, 2))


def test_the_result_is_plain_data_and_a_complete_supernet(convert, branches, tmp_path):
    found, path = convert(branches)
    content = torch.load(path, weights_only=True)
    model = MODELS.build(found.model)
    model.load_state_dict(content['state_dict'], strict=True)
    assert content['supernet']['backbone'] == model.backbone.config
    assert found.space.widths == (8, 16, 24)
    assert found.space.depths == (6, 7, 8, 9, 10)
    assert model.backbone.patch_embed.norm.eps == 1e-5
    save_backbone(poa_mm.load_supernet(path), 'w24-d8', tmp_path / 'net.pth')
    stock = poa_mm.load_backbone(tmp_path / 'net.pth')
    expected = swin.stage_maps(branches['teacher'], images().float(), 24, 8)[-1]
    torch.testing.assert_close(stock(images().float())[-1], expected.permute(0, 3, 1, 2))


@pytest.mark.parametrize(
    'rename',
    [
        lambda key: f'module.{key}',
        lambda key: '._fsdp_wrapped_module.'.join(key.split('.')),
    ],
    ids=['DDP', 'FSDP at every level'],
)
def test_wrappers_in_names(convert, branches, rename):
    plain = torch.load(convert(branches)[1], weights_only=True)
    renamed = {
        branch: {rename(key): value for key, value in state.items()}
        for branch, state in branches.items()
    }
    other = torch.load(convert(renamed)[1], weights_only=True)
    assert other['supernet'] == plain['supernet']
    assert other['state_dict'].keys() == plain['state_dict'].keys()
    for name, value in plain['state_dict'].items():
        assert torch.equal(other['state_dict'][name], value)


def test_defaults_are_those_of_the_full_size_config(tmp_path):
    shapes = swin.shapes(SWIN_B)
    index = TABLE.replace('bias_table', 'index').replace('stages.1.blocks.0', 'stages.{}.blocks.{}')
    shapes |= {
        index.format(stage, block): (49, 49)
        for stage, depth in enumerate(SWIN_B.depths)
        for block in range(depth)
    }
    torch.save({'teacher': hollow_state(shapes)}, tmp_path / 'theirs.pth')
    found = convert_official(tmp_path / 'theirs.pth', tmp_path / 'ours.pth')
    cfg = Config.fromfile(ROOT / 'configs' / '_base_' / 'models' / 'poa_swin-b.py').model
    assert {
        name: found.model['backbone'][name]
        for name in ('type', 'arch', 'window_size', 'widths', 'depths', 'gamma', 'pad_small_map')
    } == {
        name: cfg.backbone[name]
        for name in ('type', 'arch', 'window_size', 'widths', 'depths', 'gamma', 'pad_small_map')
    }
    assert {name: found.model['head'][name] for name in cfg.head} == cfg.head
    assert found.model['backbone']['patch_size'] == 4
    assert len(found.space) == 39
    assert str(found.space['swin-t']) == 'w96-d12'


def test_any_missing_key_is_refused(refused, branches):
    state = branches['teacher']
    keys = [f'backbone.stages.2.downsample.{name}' for name in ('norm.norm.bias', MERGING)]
    keys += [
        key
        for key in sorted(swin.state())
        if key.startswith('backbone.') and ('stages' not in key or 'stages.2.blocks.4' in key)
    ]
    for key in keys:
        print(key)  # is shown where this fails
        rest = {name: value for name, value in state.items() if name != key}
        assert len(rest) == len(state) - 1
        refused({'teacher': rest}, '(has no|without a value: )')


@pytest.mark.parametrize(
    'key',
    [
        'backbone.absolute_pos_embed',
        'backbone.norm4.norm.weight',
        'backbone.stages.3.downsample.norm.norm.weight',
        'backbone.stages.0.blocks.0.attn.w_msa.qkv.weight',
        'backbone.stages.0.blocks.0.ls1.gamma',
        'backbone.patch_embed.norm.weight',
    ],
)
def test_extra_keys_are_refused(refused, branches, key):
    state = {**branches['teacher'], key: torch.zeros(24)}
    refused({'teacher': state}, f'without a place here: {key}$')


@pytest.mark.parametrize(
    ('key', 'shape', 'message'),
    [
        (TABLE, (24, 6), 'has 24 rows, not the offsets within a square window'),
        (TABLE, (16, 6), 'has 16 rows, not the offsets within a square window'),
        (TABLE, (49, 6), r'relative_position_bias_table \(49, 6\) for \(25, 6\)'),
        (TABLE, (25, 5), r'its stages have \[3, 5, 12, 24\] heads'),
        (TABLE.replace('stages.1', 'stages.0'), (25, 5), 'must divide the width 24'),
        (TABLE, (25,), 'must have 2 dimensions'),
        ('backbone.stages.0.downsample.norm.norm.weight', (98,), r'\(98,\) for \(96,\)'),
        ('backbone.stages.0.downsample.norm.norm.bias', (), r'\(\) for \(96,\)'),
        ('backbone.stages.0.downsample.reduction.linear.weight', (48, 48), r'\(48, 48\) for'),
        ('backbone.mask_token', (1, 16), r'\(1, 1, 16\) for \(1, 1, 24\)'),
        ('backbone.patch_embed.proj.weight', (24, 12), 'proj.weight must have 4 dimensions'),
    ],
)
def test_dimensions_that_make_no_sense(refused, branches, key, shape, message):
    refused({'teacher': {**branches['teacher'], key: torch.zeros(shape)}}, message)


def test_another_number_of_stages(refused, branches):
    state = {key: v for key, v in branches['teacher'].items() if 'stages.3' not in key}
    refused({'teacher': state}, 'it has 3 stages, not the 4 of a Swin Transformer')


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'head_dim': 8}, 'it is a Swin, which takes min_width, .*; got head_dim'),
        ({'min_width': 12}, 'min_width must be a multiple of the head dimension 8, got 12'),
        ({'min_width': 32}, 'min_width must be within 1…24, the intact width, got 32'),
        ({'min_depth': 5}, 'min_depth must be within 6…10, the intact depth, got 5'),
        ({'min_depth': 11}, 'min_depth must be within 6…10, the intact depth, got 11'),
        ({'min_depth': (2, 2, 6, 2)}, r'within 6…10, the intact depth, got \(2, 2, 6, 2\)'),
        ({'width_interval': 4}, 'width_interval must be a multiple of the head dimension 8, got 4'),
        ({'depth_interval': 0}, 'depth_interval must be positive, got 0'),
        ({'gamma': 0.5}, 'gamma must be at least 1, got 0.5'),
    ],
)
def test_settings_that_do_not_fit(refused, branches, changes, message):
    refused(branches, message, OfficialSettings(**{'min_width': 8, 'min_depth': 6, **changes}))


def test_intervals(convert, branches):
    chosen = OfficialSettings(min_width=8, min_depth=6, width_interval=16, depth_interval=2)
    space = convert(branches, chosen)[0].space
    assert (space.widths, space.depths) == ((8, 24), (6, 8, 10))
