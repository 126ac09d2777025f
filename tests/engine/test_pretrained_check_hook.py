"""Runs that would start from weights that do not fit."""

import itertools

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from tiny.checkpoints import save_supernet
from tiny.families import TINY_RESNET, TINY_SWIN
from tiny.networks import TINY_BACKBONE

from poa_mm.checkpoints import save_backbone

_runs = itertools.count()
DENSE = {
    'vit': {'out_type': 'featmap', 'out_indices': [2], 'final_norm': False},
    'swin': {'out_indices': [0, 1, 2, 3]},
    'resnet': {'out_indices': [0, 1, 2, 3]},
}
SUPERNETS = {
    'vit': (TINY_BACKBONE, 'w24-d3'),
    'swin': (TINY_SWIN, 'w8-d5'),
    'resnet': (TINY_RESNET, 'w8-d3-4-7-3'),
}


def model_of(scope, backbone, channels):
    if scope == 'mmdet':
        head = {
            'type': 'FCOSHead',
            'num_classes': 2,
            'in_channels': channels,
            'feat_channels': 8,
            'stacked_convs': 1,
            'norm_cfg': {'type': 'GN', 'num_groups': 4},
        }
        return {'type': 'FCOS', 'backbone': backbone, 'bbox_head': head, 'neck': None}
    if scope == 'mmseg':
        head = {'type': 'FCNHead', 'in_channels': channels, 'channels': 8, 'num_classes': 2}
        return {'type': 'EncoderDecoder', 'backbone': backbone, 'decode_head': head}
    head = {'type': 'LinearClsHead', 'num_classes': 2, 'in_channels': channels}
    return {'type': 'ImageClassifier', 'backbone': backbone, 'head': head}


def make_runner(work_dir, scope, backbone, channels=24):
    return Runner.from_cfg(
        Config(
            {
                'default_scope': scope,
                'work_dir': str(work_dir),
                'experiment_name': f'pretrained-{next(_runs)}',
                'custom_imports': {'imports': ['poa_mm'], 'allow_failed_imports': False},
                'model': model_of(scope, backbone, channels),
                'train_dataloader': {
                    'batch_size': 1,
                    'dataset': [0],
                    'sampler': {'type': 'mmengine.DefaultSampler'},
                },
                'train_cfg': {'type': 'IterBasedTrainLoop', 'max_iters': 0},
                'optim_wrapper': {'optimizer': {'type': 'SGD', 'lr': 0.1}},
                'custom_hooks': [{'type': 'PretrainedCheckHook'}],
                'log_level': 'ERROR',
            }
        )
    )


def pretrained(checkpoint, **options):
    return {'init_cfg': {'type': 'Pretrained', 'checkpoint': str(checkpoint), **options}}


@pytest.fixture
def vit(tmp_path):
    """The supernet's file, its teacher, and the config of a sub-network for dense outputs."""
    path = tmp_path / 'iter_9.pth'
    teacher = save_supernet(path)['teacher']

    def cfg(**overrides):
        return teacher.subnet_cfg('w24-d3', **{**DENSE['vit'], **overrides})

    return path, teacher, cfg


@pytest.mark.parametrize('scope', ['mmpretrain', 'mmdet', 'mmseg'])
@pytest.mark.parametrize('family', SUPERNETS)
def test_what_fits_is_loaded_in_every_library(tmp_path, scope, family):
    supernet, name = SUPERNETS[family]
    path = tmp_path / 'iter_9.pth'
    teacher = save_supernet(path, supernet)['teacher']
    backbone = teacher.subnet_cfg(name, **DENSE[family], **pretrained(f'subnet://{name}@{path}'))
    runner = make_runner(tmp_path, scope, backbone)
    runner.train()
    expected = teacher.subnet_state_dict(name)
    found = runner.model.backbone.state_dict()
    assert len(set(found) & set(expected)) > 20
    for key in set(found) & set(expected):
        assert torch.equal(found[key], expected[key]), key
    new = {key.split('.')[0] for key in set(found) - set(expected)}
    assert new == ({'norm0', 'norm1', 'norm2'} if family == 'swin' else set())


def test_an_extracted_file_and_another_image_size(tmp_path, vit):
    _, teacher, cfg = vit
    save_backbone(teacher, 'w24-d3', tmp_path / 'net.pth')
    options = pretrained(tmp_path / 'net.pth')
    runner = make_runner(tmp_path, 'mmdet', cfg(img_size=(24, 40), **options))
    runner.train()
    expected = teacher.extract('w24-d3', img_size=(24, 40)).pos_embed
    assert runner.model.backbone.pos_embed.shape == (1, 61, 24)
    assert torch.allclose(runner.model.backbone.pos_embed, expected)


def test_a_prefix(tmp_path, vit):
    _, teacher, cfg = vit
    state = teacher.extract('w24-d3').state_dict()
    state = {f'backbone.{name}': value for name, value in state.items()}
    torch.save({'state_dict': {**state, 'head.weight': torch.ones(2)}}, tmp_path / 'cls.pth')
    options = pretrained(tmp_path / 'cls.pth', prefix='backbone.')
    runner = make_runner(tmp_path, 'mmdet', cfg(**options))
    runner.train()
    weight = runner.model.backbone.layers[1].attn.qkv.weight
    assert torch.equal(weight, state['backbone.layers.1.attn.qkv.weight'])


def deeper(net):
    return net.extract('w24-d4').state_dict()


def without_a_layer(net):
    state = net.extract('w24-d3').state_dict()
    return {name: value for name, value in state.items() if not name.startswith('layers.1.attn')}


def wider(net):
    return net.extract('w32-d3').state_dict()


@pytest.mark.parametrize('scope', ['mmdet', 'mmseg'])
@pytest.mark.parametrize(
    ('change', 'parts'),
    [
        (wider, ['of another shape: cls_token (1, 1, 32) instead of (1, 1, 24)', 'more']),
        (deeper, ['14 unexpected: layers.3.ln1.weight']),
        (
            without_a_layer,
            ['5 missing: layers.1.attn.qkv.weight', 'layers.1.attn.proj.bias and 1 more'],
        ),
        (lambda net: {'head.weight': torch.ones(2)}, ['missing: cls_token', 'head.weight']),
    ],
    ids=['width', 'depth', 'a layer', 'head only'],
)
def test_what_does_not_fit_is_named_before_training(tmp_path, vit, scope, change, parts):
    _, teacher, cfg = vit
    torch.save(change(teacher), tmp_path / 'wrong.pth')
    runner = make_runner(tmp_path, scope, cfg(**pretrained(tmp_path / 'wrong.pth')))
    with pytest.raises(ValueError, match=r'the weights in .*wrong\.pth do not fit: ') as failure:
        runner.train()
    for part in parts:
        assert part in str(failure.value)
    assert len(str(failure.value)) < 1000


def test_a_training_checkpoint_is_told_how_to_be_used(tmp_path, vit):
    path, _, cfg = vit
    runner = make_runner(tmp_path, 'mmdet', cfg(**pretrained(path)))
    with pytest.raises(ValueError, match=rf"name the sub-network .*'subnet://vit-s@{path}'"):
        runner.train()


def test_a_position_embedding_that_is_no_square(tmp_path, vit):
    _, teacher, cfg = vit
    state = dict(teacher.extract('w24-d3', img_size=(16, 20)).state_dict())  # no metadata
    torch.save(state, tmp_path / 'wrong.pth')
    runner = make_runner(tmp_path, 'mmdet', cfg(img_size=24, **pretrained(tmp_path / 'wrong.pth')))
    with pytest.raises(ValueError, match=r'wrong\.pth do not fit: pos_embed .* no square grid'):
        runner.train()


def test_other_files(tmp_path, vit):
    path, _, cfg = vit
    runner = make_runner(tmp_path, 'mmdet', cfg(**pretrained('none.pth')))
    with pytest.raises(FileNotFoundError, match=r'none\.pth'):
        runner.train()
    runner = make_runner(tmp_path, 'mmdet', cfg(**pretrained(f'subnet://w25-d3@{path}')))
    with pytest.raises(ValueError, match=r"'w25-d3'.*a width of 16, 24, 32"):
        runner.train()


def test_loading_beside_another_initialisation(tmp_path, vit):
    """It would be half undone."""
    path, _, cfg = vit
    several = [
        {'type': 'TruncNormal', 'layer': 'Linear', 'std': 0.02},
        pretrained(f'subnet://w24-d3@{path}')['init_cfg'],
    ]
    runner = make_runner(tmp_path, 'mmdet', cfg(init_cfg=several))
    with pytest.raises(ValueError, match=r'init_cfg of backbone must be .* not one of 2 entries'):
        runner.train()
