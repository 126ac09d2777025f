"""Linear classifiers on frozen backbones, and that they are the heads of a linear probe."""

import copy

import pytest
import torch
from helpers import load_config
from mmengine.optim import build_optim_wrapper
from tiny.classification import CLASSES, shrink
from tiny.families import TINY, build, images

from poa_mm.evaluation import SharedPrefixes
from poa_mm.evaluation.probe.sources import probe_columns
from poa_mm.models.backbones.pretrained import load_into
from poa_mm.registry import build_model

NAMES = {'vit': 'vit-s', 'swin': 'swin-t', 'resnet': 'resnet-50'}


def linear(family):
    """The classifier of a config, tiny, from random weights."""
    cfg = load_config(f'cls/linear_poa_{NAMES[family]}.py')
    shrink(cfg.model, family)
    torch.manual_seed(0)
    return build_model(copy.deepcopy(cfg.model)), cfg


@pytest.mark.parametrize('family', TINY)
@torch.inference_mode()
def test_a_head_of_the_probe_gives_the_same_logits_here(family, tmp_path):
    """On the class token after the final norm, or the mean of the last map."""
    supernet = build(family, **TINY[family])
    subnet = supernet.subnets[-1]
    torch.save(supernet.subnet_state_dict(subnet), tmp_path / 'subnet.pth')
    batch = images(family, batch=3)
    ((_, *tokens),) = SharedPrefixes(supernet, [subnet]).tokens_and_levels(batch)
    features, sources = probe_columns(*tokens)
    inputs = sources.split(features)['last 1']
    weight, bias = torch.randn(len(CLASSES), inputs.shape[1]), torch.randn(len(CLASSES))
    model, _ = linear(family)
    load_into(model.backbone, {'checkpoint': str(tmp_path / 'subnet.pth')})
    model.head.load_state_dict({'fc.weight': weight, 'fc.bias': bias})
    logits = model.train()(batch, mode='tensor')
    torch.testing.assert_close(logits, inputs @ weight.T + bias, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('family', TINY)
def test_only_the_head_trains(family):
    model, cfg = linear(family)
    wrapper = {**cfg.optim_wrapper, 'type': 'OptimWrapper'}
    del wrapper['dtype']
    optimizer = build_optim_wrapper(model, wrapper).optimizer
    held = {id(p) for group in optimizer.param_groups for p in group['params']}
    assert held == {id(p) for p in model.head.parameters()}
    assert all(group['weight_decay'] == 0 for group in optimizer.param_groups)
    model.train()
    assert model.head.training
    assert not any(module.training for module in model.backbone.modules())
    scores = model(images(family), mode='tensor')
    assert model.extract_feat(images(family), stage='pre_logits').shape == (
        *(2, model.head.in_channels),
    )
    scores.sum().backward()
    assert all(p.grad is None for p in model.backbone.parameters())
    assert all(p.grad is not None for p in model.head.parameters())
