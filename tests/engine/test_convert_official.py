"""Converted checkpoints against what the authors' networks compute, in plain loops in float64."""

import itertools
import os
import re
from collections import OrderedDict

import pytest
import torch
from helpers import ROOT
from mmengine.config import Config
from mmengine.runner import load_checkpoint
from official import TINY, Dims, official_logits, official_shapes, official_state, official_tokens

import poa_mm
from poa_mm.engine import load_config, save_backbone
from poa_mm.engine.convert_official import OfficialSettings, convert_official
from poa_mm.registry import MODELS

SETTINGS = OfficialSettings(head_dim=8, min_width=8, min_depth=2)
SUBNETS = [(8, 2), (8, 5), (16, 3), (24, 2), (24, 4), (24, 5)]
VIT_L = Dims(1024, 24, 64, 4096, 16, 14, True, 2048, 256, (8192, 16384, 32768, 65536))


@pytest.fixture(scope='module')
def branches():
    return {'teacher': official_state(0), 'student': official_state(1)}


@pytest.fixture
def convert(tmp_path):
    """Write a file of theirs, convert it: what was found, and the path of the result."""
    numbers = itertools.count()

    def run(content, settings=SETTINGS):
        torch.save(content, tmp_path / 'theirs.pth')
        out = tmp_path / 'new' / f'ours{next(numbers)}.pth'
        return convert_official(tmp_path / 'theirs.pth', out, settings), out

    return run


def images():
    side = TINY.grid * TINY.patch
    generator = torch.Generator().manual_seed(2)
    return torch.randn(3, 3, side, side, generator=generator, dtype=torch.float64)


def double(state):
    return {name: value.double() for name, value in state.items()}


def close(ours, theirs):
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-10)


@pytest.mark.parametrize('branch', ['teacher', 'student'])
def test_features_of_sub_networks(convert, branches, branch):
    _, path = convert(branches)
    net = poa_mm.load_supernet(path, branch).double()
    assert len(net.space) == 3 * 4
    for width, depth in SUBNETS:
        expected = official_tokens(double(branches[branch]), images(), width, depth)[:, 0]
        assert expected.std() > 0.1
        close(net(images(), f'w{width}-d{depth}')[0].detach(), expected)


def test_masked_tokens_and_logits_of_the_model_that_the_file_describes(convert, branches):
    _, path = convert(branches)
    model = MODELS.build(load_config(path).model)
    load_checkpoint(model, str(path), strict=True)
    model.double()
    masks = torch.rand(3, TINY.grid**2, generator=torch.Generator().manual_seed(3)) < 0.4
    for name, branch in (('teacher', model.teacher), ('student', model)):
        state = double(branches[name])
        for width, depth in SUBNETS:
            subnet = f'w{width}-d{depth}'
            class_tokens, patches = branch.backbone.tokens(images(), subnet, masks)
            expected = official_tokens(state, images(), width, depth, masks=masks)
            close(class_tokens.detach(), expected[:, 0])
            close(patches.detach(), expected[:, 1:])
            logits = branch.head(class_tokens)
            assert [part.shape[1] for part in logits] == [7, 11]
            for ours, theirs in zip(logits, official_logits(state, expected[:, 0]), strict=True):
                close(ours.detach(), theirs)


def test_without_layer_scale(convert):
    dims = TINY._replace(layer_scale=False)
    state = official_state(dims=dims)
    _, path = convert({'teacher': state})
    net = poa_mm.load_supernet(path).double()
    expected = official_tokens(double(state), images(), 16, 3, dims)[:, 0]
    close(net(images(), 'w16-d3')[0].detach(), expected)


def test_the_result_is_plain_data_and_a_complete_supernet(convert, branches, tmp_path):
    found, path = convert(branches)
    content = torch.load(path, weights_only=True)
    assert content['supernet']['config'] == {'default_scope': 'mmpretrain', 'model': found.model}
    model = MODELS.build(found.model)
    model.load_state_dict(content['state_dict'], strict=True)
    assert content['supernet']['backbone'] == model.backbone.config
    assert found.space.widths == (8, 16, 24)
    assert found.space.depths == (2, 3, 4, 5)
    assert model.backbone.ln1.eps == 1e-6
    net = poa_mm.load_supernet(path)
    save_backbone(net, 'smallest', tmp_path / 'net.pth')
    crops = images().float()
    stock = poa_mm.load_backbone(tmp_path / 'net.pth')
    assert torch.equal(stock(crops)[0], net(crops, 'smallest')[0])


def test_without_a_student_it_is_the_teacher(convert, branches):
    found, path = convert({'teacher': branches['teacher']})
    assert found.student_is_copy
    state = torch.load(path, weights_only=True)['state_dict']
    student = {name: value for name, value in state.items() if not name.startswith('teacher.')}
    assert 2 * len(student) == len(state)
    assert all(torch.equal(value, state[f'teacher.{name}']) for name, value in student.items())


def test_with_a_student(convert, branches):
    found, path = convert(branches)
    assert not found.student_is_copy
    state = torch.load(path, weights_only=True)['state_dict']
    for prefix, branch in (('teacher.', 'teacher'), ('', 'student')):
        token = branches[branch]['backbone.mask_token']
        assert torch.equal(state[f'{prefix}backbone.mask_token'], token[None])


def chunked(key):
    """Blocks in chunks of two, as for FSDP."""
    parts = key.split('.')
    if parts[:2] == ['backbone', 'blocks']:
        parts.insert(2, str(int(parts[2]) // 2))
    return '.'.join(parts)


@pytest.mark.parametrize(
    'rename',
    [
        chunked,
        lambda key: f'module.{key}',
        lambda key: key.replace('backbone.', 'backbone._fsdp_wrapped_module.'),
        lambda key: '._fsdp_wrapped_module.'.join(chunked(key).split('.')),
    ],
    ids=['chunks', 'DDP', 'FSDP', 'FSDP at every level, chunks'],
)
def test_chunks_and_wrappers_in_names(convert, branches, rename):
    plain = torch.load(convert(branches)[1], weights_only=True)
    renamed = {
        branch: OrderedDict(
            (rename(key), torch.nn.Parameter(value)) for key, value in state.items()
        )
        for branch, state in branches.items()
    }
    assert renamed['teacher'].keys() != branches['teacher'].keys()
    _, path = convert(renamed)
    other = torch.load(path, weights_only=True)
    assert other['supernet'] == plain['supernet']
    assert other['state_dict'].keys() == plain['state_dict'].keys()
    for name, value in plain['state_dict'].items():
        assert torch.equal(other['state_dict'][name], value)
        assert type(other['state_dict'][name]) is torch.Tensor


def full_size(path):
    """A file with the shapes of the authors' ViT-L, but hardly any memory."""
    shapes = official_shapes(VIT_L)
    torch.save({'teacher': {n: torch.ones(1).expand(s) for n, s in shapes.items()}}, path)


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


def refused(tmp_path, content, message, settings=SETTINGS):
    """One clear error that names the file, and nothing written."""
    path = tmp_path / 'theirs.pth'
    torch.save(content, path)
    with pytest.raises(ValueError, match=message) as error:
        convert_official(path, tmp_path / 'ours.pth', settings)
    assert str(error.value).startswith(f'{path} cannot be converted: ')
    assert '\n' not in str(error.value)
    assert [file.name for file in tmp_path.iterdir()] == ['theirs.pth']


@pytest.mark.parametrize('key', sorted(official_shapes(Dims(depth=2, prototypes=(7,)))))
def test_any_missing_key_is_refused(tmp_path, key):
    """For the blocks and heads it is the last one that lacks something."""
    dims = Dims(depth=2, prototypes=(7, 11))
    key = key.replace('blocks.0', 'blocks.1').replace('mlp0', 'mlp1').replace('layer0', 'layer1')
    state = official_state(dims=dims)
    del state[key]
    refused(tmp_path, {'teacher': state}, '(lacks|without a value: )')


def test_missing_keys_are_listed_by_our_names(tmp_path, branches):
    state = dict(branches['teacher'])
    del state['backbone.norm.norm.bias'], state['backbone.blocks.3.mlp.fc2.linear.weight']
    refused(
        tmp_path,
        {'teacher': state},
        r'teacher.*without a value: backbone\.layers\.3\.ffn\.layers\.1\.weight, '
        r'backbone\.ln1\.bias$',
    )


@pytest.mark.parametrize('branch', ['teacher', 'student'])
@pytest.mark.parametrize(
    'key',
    [
        'backbone.register_tokens',
        'backbone.head.weight',
        'backbone.blocks.0.attn.qkv.linear.weight_g',
        'backbone.blocks.0.attn.qkv.weight',
        'backbone.blocks.00.ls1.gamma',
        'backbone.patch_embed.proj.weights',
        'dino_head.mlp0.6.weight',
        'ibot_head.mlp0.0.linear.weight',
        'cls_token',
        '',
    ],
)
def test_extra_keys_are_refused(tmp_path, branches, branch, key):
    content = {**branches, branch: {**branches[branch], key: torch.zeros(24)}}
    refused(tmp_path, content, rf'{branch} .*without a place here: {re.escape(key)}($|;)')


def test_blocks_with_a_gap_are_refused(tmp_path, branches):
    state = {k.replace('blocks.4.', 'blocks.7.'): v for k, v in branches['teacher'].items()}
    refused(
        tmp_path,
        {'teacher': state},
        r'without a place here: .*blocks\.7\.norm1.*without a value: .*layers\.4\.ln1',
    )


def test_shapes_that_do_not_fit_are_listed(tmp_path, branches):
    state = {**branches['student'], 'dino_head.mlp1.2.bias': torch.zeros(3)}
    message = r'student .*shapes that do not fit: dino_head\.mlp1\.2\.bias \(3,\) for \(20,\)$'
    refused(tmp_path, {**branches, 'student': state}, message)


def test_a_student_of_another_size(tmp_path, branches):
    student = official_state(dims=Dims(width=16))
    refused(tmp_path, {**branches, 'student': student}, r'\(1, 10, 16\) for \(1, 10, 24\)')


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
def test_dimensions_that_make_no_sense(tmp_path, branches, key, shape, message):
    refused(tmp_path, {'teacher': {**branches['teacher'], key: torch.zeros(shape)}}, message)


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
def test_settings_that_do_not_fit(tmp_path, branches, settings, message):
    settings = OfficialSettings(**{'head_dim': 8, 'min_width': 8, 'min_depth': 2, **settings})
    refused(tmp_path, branches, message, settings)


def test_a_name_twice(tmp_path, branches):
    state = {**branches['teacher'], 'module.backbone.cls_token': torch.zeros(1, 1, 24)}
    message = r'teacher holds backbone\.cls_token twice.* as module\.backbone\.cls_token'
    refused(tmp_path, {'teacher': state}, message)


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ({'model': {}}, "no 'teacher'"),
        ([1, 2], "no 'teacher'"),
        ({'teacher': {}, 'optimizer': {}, 'iteration': 3}, 'holds iteration, optimizer; known: '),
        ({'teacher': torch.zeros(2)}, 'teacher is not a state dict'),
        ({'teacher': {'backbone.cls_token': 3}}, 'teacher is not a state dict'),
        ({'teacher': {3: torch.zeros(2)}}, 'teacher is not a state dict'),
        ({'teacher': {}}, r'none of the families ViT \(backbone\.blocks\.…\)'),
        ({'teacher': {'backbone.stages.0.blocks.0.norm1.norm.weight': torch.zeros(2)}}, 'families'),
    ],
)
def test_foreign_content(tmp_path, content, message):
    refused(tmp_path, content, message)


def test_no_heads(tmp_path, branches):
    state = {k: v for k, v in branches['teacher'].items() if k.startswith('backbone.')}
    refused(tmp_path, {'teacher': state}, 'no projection heads')


def test_our_own_checkpoints_are_foreign(convert, branches, tmp_path):
    _, path = convert(branches)
    with pytest.raises(ValueError, match="no 'teacher'"):
        convert_official(path, tmp_path / 'again.pth', SETTINGS)


@pytest.mark.parametrize('share', [0, 0.5, 0.999])
def test_truncated_files(tmp_path, branches, share):
    path = tmp_path / 'theirs.pth'
    torch.save(branches, path)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(ValueError, match=r'theirs\.pth is not a checkpoint that can be read'):
        convert_official(path, tmp_path / 'ours.pth', SETTINGS)
    assert not (tmp_path / 'ours.pth').exists()


def test_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'no checkpoint at .*none\.pth'):
        convert_official(tmp_path / 'none.pth', tmp_path / 'ours.pth', SETTINGS)


class Trojan:
    """Touches a file where it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f'touch {self.path}',)


def test_pickled_code_does_not_run(tmp_path, branches):
    path, trace = tmp_path / 'theirs.pth', tmp_path / 'trace'
    torch.save({**branches, 'student': Trojan(trace)}, path)
    with pytest.raises(ValueError, match='not a checkpoint that can be read'):
        convert_official(path, tmp_path / 'ours.pth', SETTINGS)
    assert not trace.exists()


def test_an_existing_file_is_kept_unless_asked(tmp_path, branches):
    source, target = tmp_path / 'theirs.pth', tmp_path / 'ours.pth'
    torch.save(branches, source)
    target.write_bytes(b'mine')
    with pytest.raises(FileExistsError, match=r'ours\.pth exists already'):
        convert_official(source, target, SETTINGS)
    assert target.read_bytes() == b'mine'
    convert_official(source, target, SETTINGS, overwrite=True)
    assert poa_mm.load_supernet(target).embed_dims == 24
    assert sorted(file.name for file in tmp_path.iterdir()) == ['ours.pth', 'theirs.pth']


def test_a_failing_write_leaves_the_old_file(tmp_path, branches, monkeypatch):
    source, target = tmp_path / 'theirs.pth', tmp_path / 'ours.pth'
    torch.save(branches, source)
    target.write_bytes(b'mine')

    def full_disk(content, file):
        file.write_bytes(b'half')
        raise OSError('no space left')

    monkeypatch.setattr(torch, 'save', full_disk)
    with pytest.raises(OSError, match='no space left'):
        convert_official(source, target, SETTINGS, overwrite=True)
    assert target.read_bytes() == b'mine'
