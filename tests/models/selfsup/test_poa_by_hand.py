"""The whole step against the formulas of the paper in loops, on stock networks cut by hand."""

import copy
import pickle

import pytest
import torch
import torch.nn.functional as F
from by_hand import stock_by_hand
from helpers import run_distributed
from tiny import TINY_POA, randomise
from torch.nn.parallel import DistributedDataParallel

from poa_mm.elastic import Subnet
from poa_mm.models.losses import distillation_losses, overall_loss, sinkhorn_knopp
from poa_mm.registry import MODELS

BATCH, VIEWS = 3, 4
TAU_T, TAU_S, WEIGHT = 0.05, 0.2, 0.7
STOCK = {'img_size': 16, 'patch_size': 4, 'layer_scale_init_value': 1.0}


def build(**overrides):
    torch.manual_seed(0)
    poa = MODELS.build(copy.deepcopy({**TINY_POA, **overrides}))
    for seed, part in enumerate((poa.backbone, poa.head, poa.teacher)):
        randomise(part, seed)
    return poa


def crops(dtype=torch.float64, batch=BATCH):
    """Global and local crops as lists of views, (B, 3, h, w) each."""
    generator = torch.Generator().manual_seed(7)
    sizes = [16, 16] + [8] * VIEWS
    return [
        torch.randn(batch, 3, size, size, generator=generator, dtype=torch.float64).to(dtype)
        for size in sizes
    ]


def logits_by_hand(head, features):
    """One projection head: α on the first layer's input, GELU, L2 norm, weight-normalised rows."""
    first, _, second, _, third = head.mlp
    alpha = first.in_features / features.shape[1]
    hidden = F.gelu(F.linear(features * alpha, first.weight[:, : features.shape[1]], first.bias))
    x = F.linear(F.gelu(F.linear(hidden, second.weight, second.bias)), third.weight, third.bias)
    x = x / x.square().sum(dim=1, keepdim=True).sqrt()
    v = head.prototypes.weight_v
    return x @ (head.prototypes.weight_g * v / v.square().sum(dim=1, keepdim=True).sqrt()).T


def sinkhorn_by_hand(logits):
    matrix = (logits / TAU_T).exp()
    for _ in range(3):
        matrix = matrix / matrix.sum(dim=0, keepdim=True)
        matrix = matrix / matrix.sum(dim=1, keepdim=True)
    return matrix


def cross_entropy(target, logits):
    exps = (logits / TAU_S).exp()
    return -(target * (exps / exps.sum()).log()).sum()


def terms_by_hand(poa, views, subnet):
    """Terms of Eq. 6 to 9 of each head, image by image and view by view."""
    intact_net = Subnet(32, 4)
    nets = {
        'teacher': stock_by_hand(poa.teacher.backbone, intact_net, **STOCK),
        'intact': stock_by_hand(poa.backbone, intact_net, **STOCK),
        'elastic': stock_by_hand(poa.backbone, subnet, **STOCK),
    }
    features = {name: [net(view)[0] for view in views] for name, net in nets.items()}
    pairs = 2 + 2 * VIEWS
    terms = []
    for index, head in enumerate(poa.head.heads):
        teacher_head = poa.teacher.head.heads[index]
        targets = sinkhorn_by_hand(logits_by_hand(teacher_head, torch.cat(features['teacher'][:2])))
        targets = targets.split(BATCH)
        students = {
            name: [logits_by_hand(head, view) for view in features[name]]
            for name in ('intact', 'elastic')
        }
        row = {}
        for name, logits in students.items():
            row[f'{name}_global'] = row[f'{name}_local'] = 0.0
            for image in range(BATCH):
                for a, b in ((0, 1), (1, 0)):
                    term = cross_entropy(targets[a][image], logits[b][image])
                    row[f'{name}_global'] += term / BATCH / pairs
                    for view in logits[2:]:
                        term = cross_entropy(targets[a][image], view[image])
                        row[f'{name}_local'] += term / BATCH / pairs
        for part, numbers in (('global', range(2)), ('local', range(2, 2 + VIEWS))):
            losses = []
            for number in numbers:
                for whole, narrow in zip(*(s[number] for s in students.values()), strict=True):
                    exps = (whole / TAU_S).exp()
                    losses.append(cross_entropy(exps / exps.sum(), narrow))
            row[f'same_view_{part}'] = sum(losses) / len(losses)
        terms.append(row)
    return terms


@pytest.mark.parametrize('name', ['w16-d2', 'w24-d4', 'w32-d3'])
def test_every_term_and_the_total(name):
    poa = build(intact_weight=WEIGHT, student_temp=TAU_S).double()
    views = crops()
    subnet = poa.backbone.space[name]
    terms = poa.losses(
        torch.cat(views[:2]), torch.cat(views[2:]), subnet=subnet, teacher_temp=TAU_T
    )
    by_hand = terms_by_hand(poa, views, subnet)
    total = 0.0
    for index, row in enumerate(by_hand):
        for key, value in row.items():
            torch.testing.assert_close(terms[key][index], value, rtol=0, atol=1e-8)
        intact = row['intact_global'] + row['intact_local']
        elastic = row['elastic_global'] + row['elastic_local']
        elastic = elastic + row['same_view_global'] + row['same_view_local']
        total = total + (WEIGHT * intact + (1 - WEIGHT) * elastic) / len(by_hand)
    assert set(by_hand[0]) == set(terms) - {'total'}
    torch.testing.assert_close(terms['total'], total, rtol=0, atol=1e-8)


def test_the_gradient_is_the_slope_of_the_total():
    """Along a random direction, with the intact student's share of the same-view terms held."""
    poa = build(intact_weight=1.0).double()  # Eq. 6 and 8 alone: nothing is held
    views = crops()
    arguments = {'subnet': 'w24-d3', 'teacher_temp': TAU_T}
    student = [*poa.backbone.parameters(), *poa.head.parameters()]
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


def own_subnet_step(rank):
    poa = build(sampler=SEEDS).double()
    model = DistributedDataParallel(poa)
    views = [view[rank : rank + 1] for view in crops(batch=2)]
    loss = model(views, None, mode='loss')['loss']
    loss.backward()
    grads = {name: p.grad for name, p in poa.named_parameters() if p.requires_grad}
    return str(poa.sampler(0, rank)), loss.detach(), grads


def test_ranks_average_the_gradients_of_their_own_sub_networks():
    """Against one process that runs both halves, with targets of the whole batch."""
    ranks = run_distributed(own_subnet_step, 2)
    poa = build(sampler=SEEDS).double()
    subnets = [str(poa.sampler(0, rank)) for rank in range(2)]
    assert subnets[0] != subnets[1]
    views = crops(batch=2)
    with torch.no_grad():
        class_tokens, _ = poa.teacher.backbone.tokens(torch.cat(views[:2]))
        targets = sinkhorn_knopp(poa.teacher.head(class_tokens), poa.teacher_temp)
    for rank, (drawn, loss, _) in enumerate(ranks):
        assert drawn == subnets[rank]
        parts = [torch.cat([view[rank : rank + 1] for view in v]) for v in (views[:2], views[2:])]
        intact = [poa.head(poa.backbone.tokens(part)[0]) for part in parts]
        elastic = [poa.head(poa.backbone.tokens(part, drawn)[0]) for part in parts]
        total = 0.0
        for head, target in enumerate(targets):
            mine = target.view(2, 2, -1)[:, rank]
            logits = [tuple(part[head] for part in student) for student in (intact, elastic)]
            terms = distillation_losses(mine, *logits, poa.student_temp)
            total = total + overall_loss(terms, poa.intact_weight) / len(targets)
        torch.testing.assert_close(loss, total.detach(), rtol=0, atol=1e-10)
        (total / 2).backward()
    for _, _, grads in ranks:
        for name, gradient in grads.items():
            torch.testing.assert_close(
                gradient, poa.get_parameter(name).grad, rtol=1e-8, atol=1e-10
            )
