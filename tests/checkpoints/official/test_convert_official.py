"""Files of the authors' code: what is in them, what is refused, what is written."""

import os
import re
from collections import OrderedDict

import pytest
import torch
from official import vit

import poa_mm
from poa_mm.checkpoints import save_backbone
from poa_mm.checkpoints.official import OfficialSettings, convert_official
from poa_mm.registry import MODELS

SETTINGS = OfficialSettings(head_dim=8, min_width=8, min_depth=2)


@pytest.fixture(scope='module')
def branches():
    return {'teacher': vit.state(0), 'student': vit.state(1)}


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
    crops = torch.randn(3, 3, 12, 12, generator=torch.Generator().manual_seed(2))
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
def test_extra_keys_are_refused(refused, branches, branch, key):
    content = {**branches, branch: {**branches[branch], key: torch.zeros(24)}}
    refused(content, rf'{branch} .*without a place here: {re.escape(key)}($|;)')


def test_blocks_with_a_gap_are_refused(refused, branches):
    state = {k.replace('blocks.4.', 'blocks.7.'): v for k, v in branches['teacher'].items()}
    refused(
        {'teacher': state},
        r'without a place here: .*blocks\.7\.norm1.*without a value: .*layers\.4\.ln1',
    )


def test_shapes_that_do_not_fit_are_listed(refused, branches):
    state = {**branches['student'], 'dino_head.mlp1.2.bias': torch.zeros(3)}
    message = r'student .*shapes that do not fit: dino_head\.mlp1\.2\.bias \(3,\) for \(20,\)$'
    refused({**branches, 'student': state}, message)


def test_a_name_twice(refused, branches):
    state = {**branches['teacher'], 'module.backbone.cls_token': torch.zeros(1, 1, 24)}
    message = r'teacher holds backbone\.cls_token twice.* as module\.backbone\.cls_token'
    refused({'teacher': state}, message)


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ({'model': {}}, "no 'teacher'"),
        ([1, 2], "no 'teacher'"),
        ({'teacher': {}, 'optimizer': {}, 'iteration': 3}, 'holds iteration, optimizer; known: '),
        ({'teacher': torch.zeros(2)}, 'teacher is not a state dict'),
        ({'teacher': {'backbone.cls_token': 3}}, 'teacher is not a state dict'),
        ({'teacher': {3: torch.zeros(2)}}, 'teacher is not a state dict'),
        ({'teacher': {}}, r'families ViT \(backbone\.blocks\.…\), Swin \(.*\), ResNet \(.*\)$'),
        ({'teacher': {'backbone.features.0.weight': torch.zeros(2)}}, 'none of the families'),
        (
            {'teacher': {'backbone.stages.0.blocks.0.norm1.norm.weight': torch.zeros(2)}},
            'it is a Swin, which takes min_width, .*, gamma; got head_dim$',
        ),
    ],
)
def test_foreign_content(refused, content, message):
    refused(content, message)


def test_no_heads(refused, branches):
    state = {k: v for k, v in branches['teacher'].items() if k.startswith('backbone.')}
    refused({'teacher': state}, 'no projection heads')


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
