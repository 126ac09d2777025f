"""Every parameter that is to train gets a gradient in every step, alone and under DDP."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from ranks import run_distributed
from tiny.families import TINY_SWIN
from tiny.networks import TINY_BACKBONE, TINY_POA
from torch import nn

from poa_mm.registry import MODELS

RESNET = {
    'type': 'ElasticResNet',
    'arch': {'stage_blocks': (1, 2, 1), 'mid_channels': 8, 'out_channels': 16},
    'widths': [4, 8],
    'depths': [(1, 1, 1), (1, 2, 1)],
    'stem_channels': 8,
    'norm_cfg': {'type': 'GN', 'num_groups': 4},
}
# Of each family: backbones, and sides of global and local crops.
BACKBONES = {
    'vit': (
        [
            TINY_BACKBONE,
            {**TINY_BACKBONE, 'out_type': 'avg_featmap', 'pre_norm': True},
            {**TINY_BACKBONE, 'out_type': 'raw', 'final_norm': False, 'patch_cfg': {'stride': 3}},
            {**TINY_BACKBONE, 'frozen_stages': 2, 'out_type': 'avg_featmap'},
        ],
        (16, 8),
    ),
    'swin': (
        [TINY_SWIN, {**TINY_SWIN, 'out_indices': (0, 1, 2, 3)}, {**TINY_SWIN, 'frozen_stages': 1}],
        (64, 32),
    ),
    'resnet': (
        [{**RESNET, 'out_indices': (2,)}, {**RESNET, 'out_indices': (0, 2), 'frozen_stages': 1}],
        (32, 16),
    ),
}
ALL = [(backbone, sizes) for backbones, sizes in BACKBONES.values() for backbone in backbones]


@st.composite
def settings_of_poa(draw):
    """A backbone with options of its own, and settings of POA or a variant."""
    backbone, sizes = draw(st.sampled_from(ALL))
    masked = draw(st.sampled_from(['masks', 'none masked', 'weight 0', 'no token']))
    changes = {
        'with_cp': draw(st.booleans()),
        'drop_path_rate': draw(st.sampled_from([0.0, 0.9])),
        'with_mask_token': masked != 'no token',
    }
    name = draw(st.sampled_from(['POA', 'POA', 'POAV1', 'POAV2', 'POAV3']))
    students = {}
    if name in ('POA', 'POAV3'):  # the others have no intact student
        sources = ['both', 'teacher', 'intact'] + ['none'] * (name == 'POA')
        elastic = draw(st.sampled_from(sources))
        students = {
            'elastic_student': elastic != 'none',
            'elastic_from_teacher': elastic != 'intact',
            'elastic_from_intact': elastic != 'teacher',
            'intact_weight': draw(st.sampled_from([0.0, 0.8, 1.0])),
        }
    poa = {
        'type': name,
        'backbone': {**backbone, **changes},
        **students,
        'koleo_weight': draw(st.sampled_from([0.0, 0.1])),
        'ibot_weight': 1.0 if masked in ('masks', 'none masked') else 0.0,
        'mask_prob': 0.0 if masked == 'none masked' else 0.5,
        'centering': draw(st.sampled_from(['sinkhorn_knopp', 'centering'])),
    }
    return poa, sizes


def views_of(sizes, batch=2):
    generator = torch.Generator().manual_seed(0)
    sides = (sizes[0], sizes[0], sizes[1])
    return [torch.randn(batch, 3, side, side, generator=generator) for side in sides]


def build(changes):
    torch.manual_seed(0)
    model = MODELS.build(copy.deepcopy({**TINY_POA, **changes}))
    model.init_weights()
    return model


@settings(deadline=None, max_examples=25)
@given(settings_of_poa())
def test_every_parameter_that_trains_has_a_gradient(drawn):
    changes, sizes = drawn
    model = build(changes)
    for step in range(2):  # of two sub-networks
        model.zero_grad()
        model.loss(views_of(sizes))['loss'].backward()
        without = [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None]
        assert not without, f'step {step}: {without}'
    assert any(p.grad.any() for p in model.parameters() if p.grad is not None)


@pytest.mark.parametrize(
    ('changes', 'frozen'),
    [
        (BACKBONES['vit'][0][1], {'ln2.weight', 'ln2.bias'}),
        (BACKBONES['swin'][0][1], {f'norm{i}.{p}' for i in range(3) for p in ('weight', 'bias')}),
        (BACKBONES['resnet'][0][0], set()),
    ],
    ids=['vit', 'swin', 'resnet'],
)
def test_what_no_loss_reaches_is_frozen(changes, frozen):
    """The norms of outputs that are no features; a backbone on its own trains them."""
    model = build({'backbone': changes})
    found = {n for n, p in model.backbone.named_parameters() if not p.requires_grad}
    assert found == frozen
    assert all(p.requires_grad for p in MODELS.build(copy.deepcopy(changes)).parameters())


def distributed_steps(rank):
    """Two steps of each setting; in the second one DDP complains of what the first one lacks."""
    rows = []
    both = [
        {'elastic_student': False},
        {'elastic_student': False, 'ibot_weight': 0.0, 'koleo_weight': 0.0},
        {'elastic_from_teacher': False},
    ]
    for backbone, sizes in (ALL[1], ALL[5], ALL[8]):  # with output norms, and with frozen stages
        for changes in both:
            model = build({'backbone': backbone, **changes})
            ddp = nn.parallel.DistributedDataParallel(model)
            for _ in range(2):
                ddp(views_of(sizes), None, mode='loss')['loss'].backward()
            rows.append(sum(p.grad.double().sum() for p in model.parameters() if p.requires_grad))
    return torch.stack(rows)


def test_ddp_waits_for_no_gradient_in_vain():
    first, second = run_distributed(distributed_steps, 2)
    assert torch.equal(first, second)
    assert first.isfinite().all()
