"""The whole step against the formulas of the paper in loops, on stock networks cut by hand."""

import copy
import pickle

import pytest
import torch
from ranks import run_distributed
from step_by_hand import (
    IBOT,
    KOLEO,
    TAU_S,
    TAU_T,
    WEIGHT,
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

from poa_mm.models.losses import chunks
from poa_mm.registry import MODELS

SETTINGS = {
    'intact_weight': WEIGHT,
    'student_temp': TAU_S,
    'ibot_weight': IBOT,
    'koleo_weight': KOLEO,
}


def build(**overrides):
    torch.manual_seed(0)
    poa = MODELS.build(copy.deepcopy({**TINY_POA, **overrides}))
    for seed, part in enumerate((poa.backbone, poa.head, poa.teacher)):
        randomise(part, seed)
    return poa


@pytest.mark.parametrize('masks', [None, masks_for()], ids=['no masks', 'masks'])
@pytest.mark.parametrize('name', ['w16-d2', 'w24-d4', 'w32-d3'])
def test_every_term_the_total_and_the_gradient(name, masks):
    check_a_step(build(**SETTINGS).double(), name, masks)


def test_the_same_without_alpha():
    backbone = {**TINY_POA['backbone'], 'alpha_scaling': False}
    check_a_step(build(**SETTINGS, backbone=backbone).double(), 'w24-d3', masks_for())


def check_a_step(poa, name, masks):
    """All terms, the total and the gradient of it are those by hand."""
    views = crops()
    subnet = poa.backbone.space[name]
    terms = poa.losses(torch.cat(views[:2]), torch.cat(views[2:]), masks, subnet, TAU_T)
    (by_hand,) = step_by_hand(poa, [(views, masks, subnet)])
    assert_equal_to_hand(terms, by_hand)
    assert_gradient_of_hand(poa, terms, by_hand)


@pytest.mark.parametrize('limit', [1, 150, 700])
def test_chunks_change_nothing(limit, monkeypatch):
    """From a chunk for each token to two chunks of a head; 20 prototypes × 33 rows are 660."""
    views, masks = crops(), masks_for()
    arguments = (torch.cat(views[:2]), torch.cat(views[2:]), masks, 'w24-d3', TAU_T)
    whole = build(**SETTINGS).double()
    expected = whole.losses(*arguments)
    expected['total'].backward()
    monkeypatch.setattr(chunks, 'MAX_LOGITS', limit)
    poa = build(**SETTINGS).double()
    terms = poa.losses(*arguments)
    terms['total'].backward()
    for key, value in expected.items():
        torch.testing.assert_close(terms[key], value, rtol=0, atol=1e-12)
    for name, parameter in poa.named_parameters():
        if parameter.requires_grad:
            other = whole.get_parameter(name).grad
            torch.testing.assert_close(parameter.grad, other, rtol=1e-9, atol=1e-11)


def test_the_gradient_is_the_slope_of_the_total():
    """Along a random direction, with the intact student's share of the same-view terms held."""
    poa = build(
        intact_weight=1.0, koleo_weight=0.0
    ).double()  # no same-view term, whose target is held
    views = crops()
    arguments = {'subnet': 'w24-d3', 'teacher_temp': TAU_T}
    # mmpretrain interpolates position embeddings in float32, too coarse for so small a step.
    student = [
        parameter
        for name, parameter in poa.named_parameters()
        if parameter.requires_grad and name != 'backbone.pos_embed'
    ]
    poa.losses(torch.cat(views[:2]), torch.cat(views[2:]), **arguments)['total'].backward()
    generator = torch.Generator().manual_seed(0)
    direction = [torch.randn(p.shape, generator=generator).double() for p in student]
    slope = sum((p.grad * d).sum() for p, d in zip(student, direction, strict=True))
    step, values = 1e-5, []
    with torch.no_grad():
        for sign in (1, -2):  # to + step, then from there to − step
            torch._foreach_add_(student, direction, alpha=sign * step)
            terms = poa.losses(torch.cat(views[:2]), torch.cat(views[2:]), **arguments)
            values.append(terms['total'])
    torch.testing.assert_close((values[0] - values[1]) / (2 * step), slope, rtol=1e-6, atol=0)


def test_without_a_name_the_sampler_decides():
    poa = build().double()
    views = crops()
    poa.step = 5
    arguments = (torch.cat(views[:2]), torch.cat(views[2:]))
    drawn = poa.losses(*arguments)
    named = poa.losses(*arguments, subnet=poa.sampler(5))
    assert all(torch.equal(drawn[key], named[key]) for key in named)


def test_losses_stay_close_and_in_float32_under_autocast():
    poa = build()
    views = crops(torch.float32)
    arguments = (torch.cat(views[:2]), torch.cat(views[2:]))
    exact = poa.losses(*arguments, subnet='w24-d3')
    with torch.autocast('cpu', torch.bfloat16):
        terms = poa.losses(*arguments, subnet='w24-d3')
        terms['total'].backward()
    for key, value in terms.items():
        assert value.dtype == torch.float32
        torch.testing.assert_close(value, exact[key], rtol=0.05, atol=0.05)
    assert all(p.grad.isfinite().all() for p in poa.backbone.parameters())


def test_a_copy_is_independent():
    poa = build()
    twin = copy.deepcopy(poa)
    student = [*poa.backbone.parameters(), *poa.head.parameters()]
    before = [p.clone() for p in poa.teacher.parameters()]
    twin.update_teacher(momentum=0.0)
    assert all(map(torch.equal, twin.teacher.parameters(), student))
    assert all(map(torch.equal, poa.teacher.parameters(), before))


def test_the_model_can_be_pickled():
    poa = build()
    twin = pickle.loads(pickle.dumps(poa))
    assert all(map(torch.equal, twin.parameters(), poa.parameters()))


def test_extreme_momentum():
    poa = build()
    teacher = [p.clone() for p in poa.teacher.parameters()]
    poa.update_teacher(momentum=1.0)
    assert all(map(torch.equal, poa.teacher.parameters(), teacher))
    poa.update_teacher(momentum=0.0)
    student = [*poa.backbone.parameters(), *poa.head.parameters()]
    assert all(map(torch.equal, poa.teacher.parameters(), student))


def test_a_checkpoint_restores_teacher_and_student():
    poa, fresh = build(), MODELS.build(copy.deepcopy(TINY_POA))
    fresh.load_state_dict(poa.state_dict(), strict=True)
    views = crops(torch.float32)
    arguments = (torch.cat(views[:2]), torch.cat(views[2:]))
    theirs = poa.losses(*arguments, subnet='w16-d3')['total']
    assert torch.equal(fresh.losses(*arguments, subnet='w16-d3')['total'], theirs)


@pytest.mark.parametrize(
    'inputs', [torch.zeros(2, 3, 16, 16), None, [torch.zeros(2, 3, 16, 16)] * 2]
)
def test_inputs_that_are_no_views(inputs):
    with pytest.raises(ValueError, match='2 global views and at least one local view, got'):
        build().loss(inputs)


def test_a_backbone_that_is_not_elastic():
    with pytest.raises((TypeError, ValueError), match='VisionTransformer'):
        build(backbone={'type': 'VisionTransformer', 'arch': 'deit-tiny'})


SEEDS = {'per_rank': True, 'seed': 3}
SIZES = (2, 3)  # images of each rank


def own_subnet_step(rank):
    poa = build(sampler=SEEDS, **SETTINGS).double()
    views, masks = rank_inputs(rank, SIZES)
    # DDP calls forward, which draws its masks itself: let these be the ones.
    poa.block_masks = lambda *_: masks
    poa.teacher_temp = TAU_T
    model = DistributedDataParallel(poa)
    outputs = model(views, None, mode='loss')
    outputs['loss'].backward()
    grads = {name: p.grad for name, p in poa.named_parameters() if p.requires_grad}
    logged = {name: value.detach() for name, value in outputs.items()}
    return str(poa.sampler(0, rank)), logged, grads


def test_two_ranks_with_batches_and_sub_networks_of_their_own():
    """Losses of each rank, and the average of their gradients, against the loops."""
    ranks = run_distributed(own_subnet_step, 2)
    poa = build(sampler=SEEDS, **SETTINGS).double()
    subnets = [poa.sampler(0, rank) for rank in range(2)]
    assert subnets[0] != subnets[1]
    by_hand = step_by_hand(poa, [(*rank_inputs(rank, SIZES), subnets[rank]) for rank in range(2)])
    assert [drawn for drawn, _, _ in ranks] == [str(subnet) for subnet in subnets]
    assert_ranks_equal_to_hand(poa, [rank[1:] for rank in ranks], by_hand)
