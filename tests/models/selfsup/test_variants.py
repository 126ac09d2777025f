"""POA-V1, V2 and V3 against the formulas in loops, and what tells them from POA."""

import copy

import pytest
import torch
from ranks import run_distributed
from step_by_hand import (
    IBOT,
    INTACT,
    KOLEO,
    POA_PLAN,
    TAU_S,
    TAU_T,
    WEIGHT,
    Plan,
    assert_equal_to_hand,
    assert_gradient_of_hand,
    assert_ranks_equal_to_hand,
    crops,
    masks_for,
    rank_inputs,
    step_by_hand,
)
from tiny.networks import TINY_POA, randomise
from torch.nn.parallel import DistributedDataParallel

from poa_mm.registry import MODELS

SETTINGS = {'student_temp': TAU_S, 'ibot_weight': IBOT, 'koleo_weight': KOLEO}
ONE_STUDENT = ({'elastic': None}, {'elastic': ('teacher', 'elastic')}, {'elastic': 1.0})
VARIANTS = {
    'POAV1': (SETTINGS, Plan({'teacher': None}, *ONE_STUDENT)),
    'POAV2': (SETTINGS, Plan({'teacher': INTACT}, *ONE_STUDENT)),
    'POAV3': (
        {'intact_weight': WEIGHT, **SETTINGS},
        Plan(
            {'teacher': INTACT, 'elastic_teacher': None},
            POA_PLAN.students,
            POA_PLAN.cross | {'elastic_teacher': ('elastic_teacher', 'elastic')},
            POA_PLAN.weights | {'elastic_teacher': 1 - WEIGHT},
        ),
    ),
}
SIZES = (2, 3)  # images of each rank


def build(name, **overrides):
    torch.manual_seed(0)
    model = MODELS.build(copy.deepcopy({**TINY_POA, 'type': name, **overrides}))
    for seed, part in enumerate((model.backbone, model.head, model.teacher)):
        randomise(part, seed)
    return model


@pytest.mark.parametrize('masks', [None, masks_for()], ids=['no masks', 'masks'])
@pytest.mark.parametrize('subnet', ['w16-d2', 'w24-d4'])
@pytest.mark.parametrize('name', VARIANTS)
def test_every_term_the_total_and_the_gradient(name, subnet, masks):
    settings, plan = VARIANTS[name]
    model = build(name, **settings).double()
    views, subnet = crops(), model.backbone.space[subnet]
    terms = model.losses(torch.cat(views[:2]), torch.cat(views[2:]), masks, subnet, TAU_T)
    (by_hand,) = step_by_hand(model, [(views, masks, subnet)], plan)
    assert_equal_to_hand(terms, by_hand)
    assert_gradient_of_hand(model, terms, by_hand)


def ranks_step(rank):
    """One step of each variant, in which the ranks train sub-networks of their own."""
    results = []
    for name, (settings, _) in VARIANTS.items():
        model = build(name, sampler={'seed': 3}, **settings).double()
        views, masks = rank_inputs(rank, SIZES)
        model.block_masks = lambda *_, masks=masks: masks
        model.teacher_temp = TAU_T
        wrapped = DistributedDataParallel(model)  # which reduces as long as it lives
        outputs = wrapped(views, None, mode='loss')
        outputs['loss'].backward()
        grads = {name: p.grad for name, p in model.named_parameters() if p.requires_grad}
        results.append(({key: value.detach() for key, value in outputs.items()}, grads))
    return results


def test_two_ranks_with_batches_and_sub_networks_of_their_own():
    by_rank = run_distributed(ranks_step, 2)
    for index, (name, (settings, plan)) in enumerate(VARIANTS.items()):
        model = build(name, sampler={'seed': 3}, **settings).double()
        subnets = [model.sampler(0, rank) for rank in range(2)]
        assert subnets[0] != subnets[1]
        inputs = [(*rank_inputs(rank, SIZES), subnets[rank]) for rank in range(2)]
        by_hand = step_by_hand(model, inputs, plan)
        assert_ranks_equal_to_hand(model, [rank[index] for rank in by_rank], by_hand)


@pytest.mark.parametrize('name', ['POAV1', 'POAV2'])
def test_the_intact_network_is_drawn_unless_it_is_left_out(name):
    model = build(name)
    drawn = {model.sampler(step) for step in range(len(model.sampler._tickets))}
    assert drawn == set(model.backbone.space)
    model = build(name, sampler={'with_intact': False})
    drawn = {model.sampler(step) for step in range(len(model.sampler._tickets))}
    assert drawn == set(model.backbone.space.candidates)


def test_masks_follow_the_sampler_s_seed_or_one_of_their_own():
    masks = [
        build('POAV2', **changes).block_masks(8, (4, 4), step=0)
        for changes in ({'sampler': {'seed': 3}}, {'mask_seed': 3}, {})
    ]
    assert torch.equal(masks[0], masks[1])
    assert not torch.equal(masks[0], masks[2])


def test_every_teacher_has_running_means_of_its_own():
    """Under DINO's centering the two teachers of V3 are centred by the mean of each."""
    model = build('POAV3', centering='centering')
    views = crops(torch.float32)
    masks = masks_for()
    model.losses(torch.cat(views[:2]), torch.cat(views[2:]), masks, 'w16-d2')
    intact = model.teacher.backbone.tokens(torch.cat(views[:2]))[0]
    narrow = model.teacher.backbone.tokens(torch.cat(views[:2]), 'w16-d2')[0]
    model.update_teacher(1.0)
    for head in range(2):
        for tokens, kind in ((intact, 'class'), (narrow, 'elastic_class')):
            mean = model.teacher.head.heads[head](tokens).mean(dim=0)
            center = model.centering.get_buffer(f'center_{kind}_{head}')
            torch.testing.assert_close(center, 0.1 * mean)


@pytest.mark.parametrize('setting', ['intact_weight', 'elastic_from_intact', 'elastic_student'])
@pytest.mark.parametrize('name', ['POAV1', 'POAV2'])
def test_settings_of_the_intact_student_are_refused(name, setting):
    with pytest.raises(TypeError, match=f"unexpected keyword argument '{setting}'"):
        build(name, **{setting: 1.0})


def test_the_elastic_teacher_needs_an_elastic_student():
    with pytest.raises(ValueError, match='elastic_student=False has no meaning'):
        build('POAV3', elastic_student=False)
