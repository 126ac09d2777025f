"""The whole step against the formulas of the paper in loops, on stock networks cut by hand."""

import copy
import pickle

import pytest
import torch
import torch.nn.functional as F
from by_hand import differentiable, masked_tokens, stock_by_hand
from ranks import run_distributed
from tiny.networks import TINY_POA, randomise
from torch.nn.parallel import DistributedDataParallel

from poa_mm.elastic import Subnet
from poa_mm.models.losses import chunks
from poa_mm.registry import MODELS

BATCH, VIEWS = 3, 4
TAU_T, TAU_S, WEIGHT, IBOT, KOLEO = 0.05, 0.2, 0.7, 1.5, 0.3
SETTINGS = {
    'intact_weight': WEIGHT,
    'student_temp': TAU_S,
    'ibot_weight': IBOT,
    'koleo_weight': KOLEO,
}
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


def logits_by_hand(head, features, scaled=True):
    """One projection head: α on the first layer's input, GELU, L2 norm, weight-normalised rows."""
    first, _, second, _, third = head.mlp
    alpha = first.in_features / features.shape[1] if scaled else 1.0
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


def koleo_by_hand(features):
    """Eq. 13 for one view, image by image."""
    unit = [feature / feature.square().sum().sqrt() for feature in features]
    logs = []
    for i, mine in enumerate(unit):
        others = [other for j, other in enumerate(unit) if j != i]
        logs.append(min((mine - other).square().sum().sqrt() for other in others).log())
    return -sum(logs) / len(logs)


def masks_for(batch=BATCH, seed=0):
    """Masks of 2 · batch views of 16 patches: none, one, some and all but one masked."""
    generator = torch.Generator().manual_seed(seed)
    masks = torch.rand(2 * batch, 16, generator=generator) < 0.4
    masks[0] = False
    masks[-1] = torch.arange(16) == 15
    masks[1] = torch.arange(16) > 0
    return masks


def features_by_hand(poa, views, masks, subnet):
    """Class tokens of each view, and the masked patch tokens with their views, of each branch."""
    batch = len(views[0])
    intact_net = Subnet(32, 4)
    branches = {
        'teacher': (poa.teacher.backbone, intact_net),
        'intact': (poa.backbone, intact_net),
        'elastic': (poa.backbone, subnet),
    }
    classes, patches = {}, {}
    for name, (supernet, sub) in branches.items():
        net = differentiable(stock_by_hand(supernet, sub, **STOCK), supernet, sub)
        token = supernet.mask_token[0, 0, : sub.width]
        classes[name], patches[name] = [], []
        for number, view in enumerate(views):
            is_global = number < 2
            if name == 'teacher' and not is_global:
                continue
            mask = torch.zeros(batch, 16, dtype=torch.bool)
            if is_global and masks is not None and name != 'teacher':
                mask = masks[number * batch : (number + 1) * batch]
            if is_global:
                out = masked_tokens(net, view, mask, token)
                classes[name].append(out[:, 0])
            else:
                classes[name].append(net(view)[0])
            if is_global and masks is not None:
                for image in range(batch):
                    wanted = masks[number * batch + image].nonzero().flatten().tolist()
                    patches[name] += [out[image, 1 + patch] for patch in wanted]
    return classes, patches


def step_by_hand(poa, ranks):
    """Terms of each head and the total of each rank, image by image and view by view.

    ``ranks`` holds (views, masks, subnet) of each one; Sinkhorn-Knopp alone joins them.
    """
    features = [features_by_hand(poa, *rank) for rank in ranks]
    pairs = 2 + 2 * VIEWS
    scaled = poa.backbone.alpha_scaling  # the teacher is intact and has no α
    results = [{'terms': [], 'total': 0.0} for _ in ranks]
    for index, head in enumerate(poa.head.heads):
        teacher_head = poa.teacher.head.heads[index]
        tokens = [torch.cat(classes['teacher']) for classes, _ in features]
        class_targets = sinkhorn_by_hand(logits_by_hand(teacher_head, torch.cat(tokens)))
        class_targets = class_targets.split([len(part) for part in tokens])
        rows = [patches['teacher'] for _, patches in features]
        if sum(map(len, rows)):
            stacked = torch.stack([row for part in rows for row in part])
            patch_targets = sinkhorn_by_hand(logits_by_hand(teacher_head, stacked))
            patch_targets = patch_targets.split([len(part) for part in rows])
        for number, (views, masks, _) in enumerate(ranks):
            batch = len(views[0])
            classes, patches = features[number]
            targets = class_targets[number].split(batch)
            students = {
                name: [logits_by_hand(head, view, scaled) for view in classes[name]]
                for name in ('intact', 'elastic')
            }
            row = {}
            for name, logits in students.items():
                row[f'{name}_global'] = row[f'{name}_local'] = 0.0
                for image in range(batch):
                    for a, b in ((0, 1), (1, 0)):
                        term = cross_entropy(targets[a][image], logits[b][image])
                        row[f'{name}_global'] += term / batch / pairs
                        for view in logits[2:]:
                            term = cross_entropy(targets[a][image], view[image])
                            row[f'{name}_local'] += term / batch / pairs
                if masks is None:
                    continue
                row[f'{name}_patch'], position = 0.0, 0
                for view in masks.tolist():
                    for _ in range(sum(view)):
                        logit = logits_by_hand(head, patches[name][position][None], scaled)[0]
                        term = cross_entropy(patch_targets[number][position], logit)
                        row[f'{name}_patch'] += term / sum(view) / len(masks)
                        position += 1
            for part, numbers in (('global', range(2)), ('local', range(2, 2 + VIEWS))):
                losses = []
                for view in numbers:
                    for whole, narrow in zip(*(s[view] for s in students.values()), strict=True):
                        exps = (whole / TAU_S).exp()
                        losses.append(cross_entropy(exps.detach() / exps.sum().detach(), narrow))
                row[f'same_view_{part}'] = sum(losses) / len(losses)
            results[number]['terms'].append(row)
            intact = row['intact_global'] + row['intact_local']
            elastic = row['elastic_global'] + row['elastic_local']
            elastic = elastic + row['same_view_global'] + row['same_view_local']
            if masks is not None:
                intact = intact + IBOT * row['intact_patch']
                elastic = elastic + IBOT * row['elastic_patch']
            share = WEIGHT * intact + (1 - WEIGHT) * elastic
            results[number]['total'] = results[number]['total'] + share / len(poa.head.heads)
    for (classes, _), result in zip(features, results, strict=True):
        for name in ('intact', 'elastic'):
            koleo = sum(koleo_by_hand(view) for view in classes[name][:2])
            result[f'{name}_koleo'] = koleo
            result['total'] = result['total'] + KOLEO * koleo / 2
    return results


def assert_equal_to_hand(terms, by_hand):
    names = set(by_hand['terms'][0])
    for index, row in enumerate(by_hand['terms']):
        for key, value in row.items():
            torch.testing.assert_close(terms[key][index], value, rtol=0, atol=1e-8)
    for name in ('intact_koleo', 'elastic_koleo', 'total'):
        torch.testing.assert_close(terms[name], by_hand[name], rtol=0, atol=1e-8)
    assert set(terms) == names | {'intact_koleo', 'elastic_koleo', 'total'}


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
    student = [*poa.backbone.parameters(), *poa.head.parameters()]
    gradients = torch.autograd.grad(terms['total'], student)
    expected = torch.autograd.grad(by_hand['total'], student, allow_unused=True)
    for mine, theirs in zip(gradients, expected, strict=True):
        theirs = torch.zeros_like(mine) if theirs is None else theirs
        torch.testing.assert_close(mine, theirs, rtol=1e-8, atol=1e-8)


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


def rank_inputs(rank):
    start = sum(SIZES[:rank])
    views = [view[start : start + SIZES[rank]] for view in crops(batch=sum(SIZES))]
    masks = masks_for(SIZES[rank], seed=rank)
    if rank == 0:
        masks[:] = False  # one rank may have nothing to predict
    return views, masks


def own_subnet_step(rank):
    poa = build(sampler=SEEDS, **SETTINGS).double()
    views, masks = rank_inputs(rank)
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
    by_hand = step_by_hand(poa, [(*rank_inputs(rank), subnets[rank]) for rank in range(2)])
    for rank, (drawn, logged, _) in enumerate(ranks):
        assert drawn == str(subnets[rank])
        torch.testing.assert_close(
            logged['loss'], by_hand[rank]['total'].detach(), rtol=0, atol=1e-8
        )
        for name in by_hand[rank]['terms'][0]:
            values = [torch.as_tensor(row[name]) for row in by_hand[rank]['terms']]
            mean = torch.stack(values).mean().detach()
            torch.testing.assert_close(logged[name], mean.double(), rtol=0, atol=1e-8)
    (sum(rank['total'] for rank in by_hand) / 2).backward()
    for _, _, grads in ranks:
        for name, gradient in grads.items():
            expected = poa.get_parameter(name).grad
            expected = torch.zeros_like(gradient) if expected is None else expected
            torch.testing.assert_close(gradient, expected, rtol=1e-8, atol=1e-8)
