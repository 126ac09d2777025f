"""Parameter groups against tables by hand."""

import copy

import pytest
import torch
from mmengine.optim import build_optim_wrapper
from mmpretrain.registry import MODELS
from tiny.networks import poa_config

import poa_mm  # noqa: F401

LR, WD = 0.1, 0.04


def wrapper(model, **paramwise):
    cfg = {
        'optimizer': {'type': 'AdamW', 'lr': LR, 'weight_decay': WD},
        'constructor': 'LayerDecayConstructor',
        'paramwise_cfg': paramwise,
    }
    return build_optim_wrapper(model, cfg)


def settings(model, **paramwise):
    """Learning rate factor and weight decay of each parameter, by name."""
    names = {parameter: name for name, parameter in model.named_parameters()}
    found = {}
    for group in wrapper(model, **paramwise).optimizer.param_groups:
        for parameter in group['params']:
            assert names[parameter] not in found
            found[names[parameter]] = (group['lr'] / LR, group['weight_decay'])
    return found


def block(number, lr, layer_scale=True):
    """A block: weights of linear layers decay, biases, norms and LayerScale do not."""
    weights = ('attn.qkv', 'attn.proj', 'ffn.layers.0.0', 'ffn.layers.1')
    rest = [f'{name}.bias' for name in (*weights, 'ln1', 'ln2')] + ['ln1.weight', 'ln2.weight']
    if layer_scale:
        rest += ['attn.gamma1.weight', 'ffn.gamma2.weight']
    rows = {f'{name}.weight': (lr, WD) for name in weights} | dict.fromkeys(rest, (lr, 0.0))
    return {f'backbone.layers.{number}.{name}': row for name, row in rows.items()}


def head(index):
    rows = {}
    for layer in (0, 2, 4):
        rows[f'mlp.{layer}.weight'] = (1.0, WD)
        rows[f'mlp.{layer}.bias'] = (1.0, 0.0)
    rows |= {'prototypes.weight_g': (1.0, WD), 'prototypes.weight_v': (1.0, WD)}
    return {f'head.heads.{index}.{name}': row for name, row in rows.items()}


def backbone(decay, patch_mult, layer_scale=True):
    """Three blocks: tokens and patches four layers below the head, block i 3 − i layers below."""
    return {
        'backbone.cls_token': (decay**4, 0.0),
        'backbone.pos_embed': (decay**4, 0.0),
        'backbone.patch_embed.projection.weight': (decay**4 * patch_mult, WD),
        'backbone.patch_embed.projection.bias': (decay**4 * patch_mult, 0.0),
        **block(0, decay**3, layer_scale),
        **block(1, decay**2, layer_scale),
        **block(2, decay, layer_scale),
        'backbone.ln1.weight': (1.0, 0.0),
        'backbone.ln1.bias': (1.0, 0.0),
    }


def student(decay, patch_mult):
    """An elastic backbone has a mask token, too."""
    return {**backbone(decay, patch_mult), 'backbone.mask_token': (decay**4, 0.0)}


def approx(table):
    return {name: pytest.approx(row) for name, row in table.items()}


@pytest.fixture
def poa():
    return MODELS.build(copy.deepcopy(poa_config()))


@pytest.fixture
def classifier():
    arch = poa_config()['backbone']['arch']
    backbone_cfg = {'type': 'VisionTransformer', 'arch': arch, 'img_size': 16, 'patch_size': 8}
    return MODELS.build(
        {
            'type': 'ImageClassifier',
            'backbone': backbone_cfg,
            'head': {'type': 'LinearClsHead', 'num_classes': 3, 'in_channels': 32},
        }
    )


@pytest.mark.parametrize(('decay', 'patch_mult'), [(0.9, 0.2), (0.5, 1.0), (1.0, 0.2)])
def test_groups_of_pre_training(poa, decay, patch_mult):
    """The teacher has no group."""
    found = settings(poa, layer_decay=decay, patch_embed_mult=patch_mult)
    assert found == approx({**student(decay, patch_mult), **head(0), **head(1)})


def test_tokens_decay_in_the_authors_code(poa):
    tokens = ('cls_token', 'pos_embed', 'mask_token')
    decaying = {f'backbone.{name}': (0.9**4, WD) for name in tokens}
    expected = {**student(0.9, 1.0), **head(0), **head(1), **decaying}
    assert settings(poa, layer_decay=0.9, official_decay=True) == approx(expected)


def test_groups_of_a_classifier(classifier):
    expected = {
        **backbone(0.8, 1.0, layer_scale=False),
        'head.fc.weight': (1.0, WD),
        'head.fc.bias': (1.0, 0.0),
    }
    assert settings(classifier, layer_decay=0.8) == approx(expected)


@pytest.mark.parametrize(
    ('cfg', 'spared'),
    [
        ({'type': 'DistilledVisionTransformer', 'arch': 'deit-tiny'}, ['dist_token']),
        (
            {'type': 'SwinTransformerV2', 'arch': 'tiny', 'window_size': 4},
            ['stages.3.blocks.1.attn.w_msa.logit_scale', 'stages.0.blocks.0.attn.w_msa.q_bias'],
        ),
    ],
)
def test_tokens_and_scales_of_any_backbone_do_not_decay(cfg, spared):
    model = torch.nn.Module()
    model.backbone = MODELS.build({**cfg, 'img_size': 64})
    found = settings(model)
    assert [found[f'backbone.{name}'] for name in spared] == [(1.0, 0.0)] * len(spared)
    matrices = [name for name, p in model.named_parameters() if p.ndim > 1 and 'weight' in name]
    assert all(found[name] == (1.0, WD) for name in matrices)


STOCK = {
    'type': 'mmpretrain.VisionTransformer',
    'arch': poa_config()['backbone']['arch'],
    'img_size': 16,
    'patch_size': 8,
    'out_type': 'featmap',
}


def detector():
    from mmdet.registry import MODELS as MMDET
    from mmdet.utils import register_all_modules

    register_all_modules(init_default_scope=False)
    box_head = {
        'type': 'FCOSHead',
        'num_classes': 2,
        'in_channels': 32,
        'feat_channels': 8,
        'norm_cfg': {'type': 'GN', 'num_groups': 4},
    }
    return MMDET.build(
        {'_scope_': 'mmdet', 'type': 'FCOS', 'backbone': STOCK, 'bbox_head': box_head, 'neck': None}
    )


def segmentor():
    from mmseg.registry import MODELS as MMSEG
    from mmseg.utils import register_all_modules

    register_all_modules(init_default_scope=False)
    decode_head = {'type': 'FCNHead', 'in_channels': 32, 'channels': 8, 'num_classes': 2}
    return MMSEG.build(
        {
            '_scope_': 'mmseg',
            'type': 'EncoderDecoder',
            'backbone': STOCK,
            'decode_head': decode_head,
        }
    )


@pytest.mark.parametrize('build', [detector, segmentor])
def test_groups_of_detectors_and_segmentors(build):
    """Their models know nothing of layers; the backbone is asked."""
    model = build()
    assert not hasattr(model, 'get_layer_depth')
    found = settings(model, layer_decay=0.8)
    expected = backbone(0.8, 1.0, layer_scale=False)
    assert {name: row for name, row in found.items() if name in expected} == approx(expected)
    others = set(found) - set(expected)
    assert len(others) > 3
    for name in others:
        decays = model.get_parameter(name).ndim > 1
        assert found[name] == (1.0, WD if decays else 0.0)


def test_frozen_parameters_get_no_group(classifier):
    classifier.backbone.layers[0].requires_grad_(False)
    found = settings(classifier, layer_decay=0.8)
    assert not [name for name in found if name.startswith('backbone.layers.0.')]
    assert len(found) == sum(p.requires_grad for p in classifier.parameters())


def test_parameters_of_one_kind_share_a_group(poa):
    groups = wrapper(poa, layer_decay=0.9).optimizer.param_groups
    kinds = [
        (round(group['lr'] / LR, 12), group['weight_decay'], group['module'], group['last_layer'])
        for group in groups
    ]
    expected = [
        *[(round(0.9**n, 12), wd, 'backbone', False) for n in (4, 3, 2, 1) for wd in (0.0, WD)],
        (1.0, 0.0, 'backbone', False),  # the final norm
        (1.0, 0.0, 'head', False),
        (1.0, WD, 'head', False),
        (1.0, WD, 'head', True),
    ]
    assert kinds == expected


def test_labels_follow_the_names(poa):
    names = {parameter: name for name, parameter in poa.named_parameters()}
    last_layers = []
    for group in wrapper(poa, layer_decay=0.9).optimizer.param_groups:
        members = [names[parameter] for parameter in group['params']]
        assert {name.split('.')[0] for name in members} == {group['module']}
        last_layers += members if group['last_layer'] else []
    weights = [f'head.heads.{i}.prototypes.weight_{part}' for i in (0, 1) for part in 'gv']
    assert sorted(last_layers) == weights


def test_without_options_weight_decay_still_spares_biases(poa):
    assert settings(poa) == approx({**student(1.0, 1.0), **head(0), **head(1)})


@pytest.mark.parametrize(
    ('paramwise', 'message'),
    [
        (
            {'layer_decay_rate': 0.9},
            r"takes \('layer_decay', 'patch_embed_mult', 'official_decay'\), got.*_rate'",
        ),
        ({'layer_decay': 0}, r'layer_decay must be within \(0, 1\], got 0'),
        ({'layer_decay': 1.1}, 'layer_decay.*got 1.1'),
        ({'patch_embed_mult': -0.2}, 'patch_embed_mult.*got -0.2'),
        ({'official_decay': 1}, 'official_decay must be True or False, got 1'),
    ],
)
def test_wrong_options(poa, paramwise, message):
    with pytest.raises(ValueError, match=message):
        wrapper(poa, **paramwise)


def test_layer_decay_needs_a_backbone_that_knows_its_layers():
    model = MODELS.build({'type': 'LinearClsHead', 'num_classes': 3, 'in_channels': 32})
    with pytest.raises((TypeError, ValueError), match='get_layer_depth'):
        wrapper(model, layer_decay=0.9)
