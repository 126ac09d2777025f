"""The cost of a step of pre-training against PyTorch's count of the same step, really run."""

import copy
from collections import Counter

import pytest
from helpers import load_config
from mmengine.config import Config
from tiny.families import TINY_RESNET, TINY_SWIN
from tiny.networks import TINY_POA
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from poa_mm.registry import MODELS
from poa_mm.selection.step_cost import (
    Batch,
    batch_of,
    expected_step_cost,
    model_on_meta,
    step_cost,
    traced_subnets,
)

SIDE = {'vit': 16, 'resnet': 64, 'swin': 64}
BACKBONES = {'vit': TINY_POA['backbone'], 'resnet': TINY_RESNET, 'swin': TINY_SWIN}


def config(family, **changes):
    backbone = copy.deepcopy(BACKBONES[family])
    if family != 'resnet':
        backbone['drop_path_rate'] = 0.4
    if family == 'vit':
        backbone['drop_path_uniform'] = True
    return Config({'model': {**copy.deepcopy(TINY_POA), 'backbone': backbone, **changes}})


def batch(family, images=5):
    side = SIDE[family]
    return Batch(images, 3, (side, side), (side // 2, side // 2), num_local=3)


def counted_by_torch(cfg, seen, subnet):
    """Multiplications and additions of a step on the CPU, for one image."""
    model = MODELS.build(copy.deepcopy(cfg.model)).train()
    masks = model.block_masks(2 * seen.images, model.backbone.mask_grid(*seen.global_size), 0)
    counter = FlopCounterMode(display=False)
    with sdpa_kernel(SDPBackend.MATH), counter:
        model.losses(*seen.crops('cpu'), masks, subnet, 0.07)['total'].backward()
    return counter.get_total_flops() / seen.images


@pytest.mark.parametrize(
    ('subnet', 'changes'),
    [
        ('w8-d3-4-6-3', {}),
        (None, {'elastic_student': False}),
        ('w8-d3-4-6-3', {'type': 'POAV1'}),
        ('w8-d3-4-6-3', {'type': 'POAV2'}),
        ('w8-d3-4-6-3', {'type': 'POAV3'}),
    ],
)
def test_a_resnet_costs_what_pytorch_counts(subnet, changes):
    cfg = config('resnet', **changes)
    found = step_cost(model_on_meta(cfg), batch('resnet'), subnet)
    assert found.flops == counted_by_torch(cfg, batch('resnet'), subnet)


def test_a_vit_costs_that_and_the_logits_of_attention_once_more():
    """Fused attention computes q kᵀ again in the backward pass, which PyTorch's math kernel keeps.

    Blocks are 4 of 32 channels and 2 of 16; images have 17 and 5 tokens, and 3 of 5 (of views 6 of
    10 and 9 of 15) run in a block at a drop path of 0.4.
    """
    seen = batch('vit')
    cfg = config('vit')
    found = step_cost(model_on_meta(cfg), seen, 'w16-d2')
    tokens = 6 * 17**2 + 9 * 5**2
    again = 2 * tokens * (4 * 32 + 2 * 16) / seen.images
    assert found.flops == counted_by_torch(cfg, seen, 'w16-d2') + again


@pytest.mark.parametrize(
    ('family', 'changes', 'intact_drawn'),
    [
        ('vit', {}, False),
        ('resnet', {}, False),
        ('vit', {'type': 'POAV1'}, True),
        ('vit', {'type': 'POAV2', 'sampler': {'with_intact': False}}, False),
    ],
)
def test_the_mean_over_all_sub_networks(family, changes, intact_drawn):
    """Eq. 14 written out: every sub-network that is drawn, traced by itself, times its share."""
    changes = {**changes, 'sampler': {'order': 'independent', **changes.get('sampler', {})}}
    model = model_on_meta(config(family, **changes))
    space = model.backbone.space
    drawn = [subnet for subnet in space if intact_drawn or subnet != space.intact]
    weights = [space.weight(subnet) for subnet in drawn]
    costs = [step_cost(model, batch(family), subnet) for subnet in drawn]
    expected = sum(
        weight / sum(weights) * cost.flops for cost, weight in zip(costs, weights, strict=True)
    )
    found = expected_step_cost(model, batch(family))
    assert found.flops == pytest.approx(expected, rel=1e-9)
    assert found.activation_bytes == max(cost.activation_bytes for cost in costs)


def test_the_mean_of_a_shuffled_pass_is_that_of_its_steps():
    """Its steps are whole numbers, which weights of 1.6² and so on are rounded to."""
    cfg = config('vit', type='POAV1')
    cfg.model.backbone.gamma = 2.2
    model = model_on_meta(cfg)
    steps = sum(round(model.backbone.space.weight(subnet)) for subnet in model.backbone.space)
    drawn = Counter(model.sampler(step) for step in range(steps))
    expected = sum(
        count / steps * step_cost(model, batch('vit'), subnet).flops
        for subnet, count in drawn.items()
    )
    assert expected_step_cost(model, batch('vit')).flops == pytest.approx(expected, rel=1e-9)


def test_drop_path_that_rises_is_nearly_linear_in_the_depth():
    model = model_on_meta(config('swin', sampler={'order': 'independent'}))
    space = model.backbone.space
    seen = batch('swin', images=50)
    expected = sum(
        chance * step_cost(model, seen, subnet).flops
        for subnet, chance in zip(space.candidates, space.probabilities(), strict=True)
    )
    assert expected_step_cost(model, seen).flops == pytest.approx(expected, rel=0.01)


def test_one_network_has_no_elastic_student():
    cfg = config('vit')
    without = model_on_meta(cfg, elastic_student=False)
    alone = expected_step_cost(without, batch('vit'))
    assert alone == step_cost(without, batch('vit'))
    assert alone.flops < expected_step_cost(model_on_meta(cfg), batch('vit')).flops


def test_sub_networks_that_are_traced():
    """Three widths times a constant and the depth, or those of the two stages that differ."""
    space = model_on_meta(load_config('pretrain/poa_resnet-152.py')).backbone.space
    assert len(traced_subnets(space.candidates, space)) == 3 * 3
    space = model_on_meta(config('vit')).backbone.space
    traced = traced_subnets(space.candidates, space)
    assert len(traced) == 3 * 2
    assert {str(subnet) for subnet in traced[:2]} == {'w24-d4', 'w32-d3'}  # in no other one
    assert traced_subnets(tuple(space), space)[0] == space.largest


def test_crops_are_those_of_the_config():
    cfg = load_config('pretrain/poa_vit-l.py')
    assert batch_of(cfg) == Batch(50, 3, (224, 224), (96, 96), 8)
    cfg.train_dataloader.dataset.pipeline.pop(0)
    with pytest.raises(ValueError, match='has no MultiCrop in the pipeline'):
        batch_of(cfg)


def vit_flops(side, width, depth, images, gradients):
    """A ViT of 16-pixel patches on images, by the book; the students' drop path is 0.2."""
    tokens = (side // 16) ** 2 + 1
    layers, attention = 2 * 12 * width**2 * tokens, 2 * 2 * width * tokens**2
    patches = 2 * 768 * width * (tokens - 1)
    if not gradients:
        return images * (depth * (layers + attention) + patches)
    return images * (0.8 * depth * (3 * layers + 3.5 * attention) + 2 * patches)


def test_the_paper_s_run():
    """But for its heads, which have no size here."""
    cfg = load_config('pretrain/poa_vit-l.py')
    cfg.model.head.update(num_prototypes=[2], hidden=1, bottleneck=1)
    seen = batch_of(cfg)
    students = {
        size: vit_flops(224, *size, 2, True) + vit_flops(96, *size, 8, True)
        for size in ((384, 12), (1024, 24))
    }
    one = vit_flops(224, 1024, 24, 2, False) + students[1024, 24]
    found = step_cost(model_on_meta(cfg, elastic_student=False), seen).flops
    assert found == pytest.approx(one, rel=1e-3)
    found = step_cost(model_on_meta(cfg), seen, 'vit-s').flops
    assert found == pytest.approx(one + students[384, 12], rel=1e-3)


@pytest.mark.parametrize(
    ('config', 'named'),
    [
        ('pretrain/baselines/seed_vit-s.py', 'SEED'),  # refused before it opens its teacher
        ('det/cascade_poa_vit-s.py', 'CascadeRCNN'),  # of a library that is not asked for it
        ('_base_/schedule_poa.py', 'nothing'),
    ],
)
def test_configs_that_do_not_pre_train_by_poa_are_refused(config, named):
    with pytest.raises(ValueError, match=rf'trains {named}, not POA'):
        model_on_meta(load_config(config))
