"""Names, shapes and arguments in timm, for all sub-networks of the paper's supernets."""

import functools

import pytest
import timm
import torch
from helpers import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.config import Config
from torch import nn

from poa_mm.checkpoints.build import build_on_meta
from poa_mm.export import TimmForm, timm_form
from poa_mm.registry import MODELS

CONFIGS = {'vit': 'poa_vit-l', 'swin': 'poa_swin-b', 'resnet': 'poa_resnet-152'}
NUMBERS = {'vit': 143, 'swin': 39, 'resnet': 465}
SIZE = (224, 224)
# The named networks as timm itself has them. Heads of the paper's Swin have 16 channels, half of
# the usual ones; a ViT has the LayerScale of the paper's config.
GROUP_NORM = {'norm_layer': 'groupnorm'}
NAMED = [
    ('vit', 'vit-s', 'vit_small_patch16_224', {'init_values': 1.0}),
    ('vit', 'vit-b', 'vit_base_patch16_224', {'init_values': 1.0}),
    ('vit', 'vit-l', 'vit_large_patch16_224', {'init_values': 1.0}),
    ('swin', 'swin-t', 'swin_tiny_patch4_window7_224', {'num_heads': (6, 12, 24, 48)}),
    ('swin', 'swin-s', 'swin_small_patch4_window7_224', {'num_heads': (6, 12, 24, 48)}),
    ('swin', 'swin-b', 'swin_base_patch4_window7_224', {'num_heads': (8, 16, 32, 64)}),
    ('resnet', 'resnet-50', 'resnet50_gn', {}),
    ('resnet', 'resnet-101', 'resnet101', GROUP_NORM),
    ('resnet', 'resnet-152', 'resnet152', GROUP_NORM),
]


@functools.cache
def supernet(family):
    """The paper's supernet without memory for weights."""
    cfg = Config.fromfile(ROOT / 'configs' / 'pretrain' / f'{CONFIGS[family]}.py')
    cfg.model.backbone.pop('init_cfg', None)
    return build_on_meta(cfg.model.backbone)


def form_of(family, subnet):
    return timm_form(build_on_meta(supernet(family).subnet_cfg(subnet)), SIZE)


def shapes_in_timm(model, kwargs):
    with torch.device('meta'):
        net = timm.create_model(model, num_classes=0, **kwargs)
    return {name: tuple(tensor.shape) for name, tensor in net.state_dict().items()}


def shapes(state):
    return {name: tuple(tensor.shape) for name, tensor in state.items()}


@pytest.mark.parametrize(('family', 'name', 'model', 'kwargs'), NAMED)
def test_named_sizes_are_timm_s_own(family, name, model, kwargs):
    form = form_of(family, name)
    expected = shapes_in_timm(model, kwargs)
    assert shapes(form.state) == expected
    assert shapes_in_timm(form.model, form.kwargs) == expected
    count = sum(tensor.numel() for tensor in form.state.values())
    assert count == supernet(family).num_params(name)


@pytest.mark.parametrize('family', CONFIGS)
@settings(deadline=None, max_examples=5)
@given(data=st.data())
def test_all_others_fit(data, family):
    net = supernet(family)
    assert len(net.space) == NUMBERS[family]
    form = form_of(family, data.draw(st.sampled_from(net.subnets)))
    assert shapes(form.state) == shapes_in_timm(form.model, form.kwargs)


def test_patch_merging_by_hand():
    """Inputs c · 4 + 2 · row + column of mmpretrain are (2 · column + row) · C + c in timm."""
    cfg = {
        'type': 'mmpretrain.SwinTransformer',
        'arch': {'embed_dims': 2, 'depths': [1, 1], 'num_heads': [1, 1]},
        'out_indices': (1,),
        'img_size': 56,
    }
    net = MODELS.build(cfg)
    names = torch.arange(8.0)
    with torch.no_grad():
        net.stages[0].downsample.norm.weight.copy_(names)
        net.stages[0].downsample.reduction.weight.copy_(names.expand(4, -1))
    state = timm_form(net, (56, 56)).state
    expected = [
        channel * 4 + 2 * row + column
        for column in (0, 1) for row in (0, 1) for channel in (0, 1)
    ]  # fmt: skip
    assert state['layers.1.downsample.norm.weight'].tolist() == expected
    assert state['layers.1.downsample.reduction.weight'].tolist() == [expected] * 4


class Other(nn.Linear):
    """A backbone of another family."""


def test_other_families_can_join():
    net = Other(2, 3)
    with pytest.raises(
        ValueError, match='VisionTransformer, SwinTransformer and ResNet, not for Other'
    ):
        timm_form(net, SIZE)
    timm_form.register(Other, lambda net, size: TimmForm('mlp', {'size': size}, net.state_dict()))
    assert timm_form(net, SIZE).kwargs == {'size': SIZE}
