"""A step of self-distillation by the formulas in loops, on stock networks cut by hand.

A plan says which branches there are and what learns from what; all else is the paper's.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from by_hand import differentiable, masked_tokens, stock_by_hand

from poa_mm.elastic import Subnet

BATCH, VIEWS = 3, 4
TAU_T, TAU_S, WEIGHT, IBOT, KOLEO = 0.05, 0.2, 0.7, 1.5, 0.3
STOCK = {'img_size': 16, 'patch_size': 4, 'layer_scale_init_value': 1.0}
INTACT = Subnet(32, 4)
SAME_VIEW = 'same_view'


class Plan(NamedTuple):
    """Branches are named; a sub-network of None is that of the step.

    ``teachers`` and ``students`` have the sub-network of each branch. ``cross`` has, by the name of
    its terms, who teaches and who learns across views, ``weights`` the weight of the terms in the
    total. Under ``same_view`` the elastic student learns from the intact one.
    """

    teachers: dict
    students: dict
    cross: dict
    weights: dict


POA_PLAN = Plan(
    {'teacher': INTACT},
    {'intact': INTACT, 'elastic': None},
    {'intact': ('teacher', 'intact'), 'elastic': ('teacher', 'elastic')},
    {'intact': WEIGHT, 'elastic': 1 - WEIGHT, SAME_VIEW: 1 - WEIGHT},
)


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


def features_by_hand(model, plan, views, masks, subnet):
    """Class tokens of each view, and the masked patch tokens with their views, of each branch."""
    batch = len(views[0])
    classes, patches = {}, {}
    for name, fixed in (plan.teachers | plan.students).items():
        supernet = model.teacher.backbone if name in plan.teachers else model.backbone
        sub = fixed or subnet
        net = differentiable(stock_by_hand(supernet, sub, **STOCK), supernet, sub)
        token = supernet.mask_token[0, 0, : sub.width]
        classes[name], patches[name] = [], []
        for number, view in enumerate(views):
            is_global = number < 2
            if name in plan.teachers and not is_global:
                continue
            mask = torch.zeros(batch, 16, dtype=torch.bool)
            if is_global and masks is not None and name in plan.students:
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


def targets_by_hand(head, ranks, scaled):
    """Class and patch targets of each rank in one head of a teacher, balanced over all ranks.

    ``ranks`` holds the class tokens of each view, and the patch tokens, of each of them.
    """
    logits = [[logits_by_hand(head, torch.cat(classes), scaled) for classes, _ in ranks]]
    if any(patches for _, patches in ranks):
        empty = logits[0][0][:0]
        logits.append(
            [
                torch.cat([empty, *(logits_by_hand(head, row[None], scaled) for row in patches)])
                for _, patches in ranks
            ]
        )
    balanced = [sinkhorn_by_hand(torch.cat(kind)).split([*map(len, kind)]) for kind in logits]
    return list(zip(*balanced, strict=True))


def cross_view_by_hand(targets, logits, patch_logits, masks):
    """``global``, ``local`` and ``patch`` terms of a rank in one head, image by image."""
    batch, pairs = len(logits[0]), 2 + 2 * VIEWS
    row = {'global': 0.0, 'local': 0.0}
    for image in range(batch):
        for a, b in ((0, 1), (1, 0)):
            target = targets[0].split(batch)[a][image]
            row['global'] += cross_entropy(target, logits[b][image]) / batch / pairs
            for view in logits[2:]:
                row['local'] += cross_entropy(target, view[image]) / batch / pairs
    if masks is not None:
        row['patch'], position = 0.0, 0
        for view in masks.tolist():
            for _ in range(sum(view)):
                term = cross_entropy(targets[1][position], patch_logits[position])
                row['patch'] += term / sum(view) / len(masks)
                position += 1
    return row


def same_view_by_hand(intact, elastic):
    """``global`` and ``local`` terms of a rank in one head: L_ES2 of Eq. 7 and 9."""
    row = {}
    for part, numbers in (('global', range(2)), ('local', range(2, 2 + VIEWS))):
        losses = []
        for view in numbers:
            for whole, narrow in zip(intact[view], elastic[view], strict=True):
                exps = (whole / TAU_S).exp()
                losses.append(cross_entropy(exps.detach() / exps.sum().detach(), narrow))
        row[part] = sum(losses) / len(losses)
    return row


def step_by_hand(model, ranks, plan=POA_PLAN):
    """Terms of each head and the total of each rank, image by image and view by view.

    ``ranks`` holds (views, masks, subnet) of each one; Sinkhorn-Knopp alone joins them.
    """
    features = [features_by_hand(model, plan, *rank) for rank in ranks]
    scaled = model.backbone.alpha_scaling
    results = [{'terms': [], 'total': 0.0} for _ in ranks]
    for index, head in enumerate(model.head.heads):
        targets = {
            name: targets_by_hand(
                model.teacher.head.heads[index],
                [(classes[name], patches[name]) for classes, patches in features],
                scaled,
            )
            for name in plan.teachers
        }
        for number, (_, masks, _) in enumerate(ranks):
            classes, patches = features[number]
            logits = {
                name: [logits_by_hand(head, v, scaled) for v in classes[name]] for name in classes
            }
            row = {}
            for name, (teacher, student) in plan.cross.items():
                predicted = [
                    logits_by_hand(head, patch[None], scaled)[0] for patch in patches[student]
                ]
                row[name] = cross_view_by_hand(
                    targets[teacher][number], logits[student], predicted, masks
                )
            if SAME_VIEW in plan.weights:
                row[SAME_VIEW] = same_view_by_hand(logits['intact'], logits['elastic'])
            result = results[number]
            for name, terms in row.items():
                share = terms['global'] + terms['local'] + IBOT * terms.get('patch', 0.0)
                share = plan.weights[name] * share / len(model.head.heads)
                result['total'] = result['total'] + share
            result['terms'].append(
                {f'{name}_{k}': term for name, terms in row.items() for k, term in terms.items()}
            )
    for (classes, _), result in zip(features, results, strict=True):
        for name in plan.students:
            koleo = sum(koleo_by_hand(view) for view in classes[name][:2])
            result[f'{name}_koleo'] = koleo
            result['total'] = result['total'] + KOLEO * koleo / len(plan.students)
    return results


def assert_equal_to_hand(terms, by_hand):
    """Same names, and values within 1e-8."""
    for index, row in enumerate(by_hand['terms']):
        for key, value in row.items():
            torch.testing.assert_close(terms[key][index], value, rtol=0, atol=1e-8)
    scalars = set(by_hand) - {'terms'}
    for name in scalars:
        torch.testing.assert_close(terms[name], by_hand[name], rtol=0, atol=1e-8)
    assert set(terms) == set(by_hand['terms'][0]) | scalars


def assert_gradient_of_hand(model, terms, by_hand):
    """The gradient of each parameter of the students is that of the loops; none is missing."""
    student = [*model.backbone.parameters(), *model.head.parameters()]
    gradients = torch.autograd.grad(terms['total'], student)
    expected = torch.autograd.grad(by_hand['total'], student, allow_unused=True)
    for mine, theirs in zip(gradients, expected, strict=True):
        theirs = torch.zeros_like(mine) if theirs is None else theirs
        torch.testing.assert_close(mine, theirs, rtol=1e-8, atol=1e-8)


def rank_inputs(rank, sizes):
    """Views and masks of a rank that has its share of one batch, of ``sizes`` images."""
    start = sum(sizes[:rank])
    views = [view[start : start + sizes[rank]] for view in crops(batch=sum(sizes))]
    masks = masks_for(sizes[rank], seed=rank)
    if rank == 0:
        masks[:] = False  # one rank may have nothing to predict
    return views, masks


def assert_ranks_equal_to_hand(model, ranks, by_hand):
    """Logged terms of each rank, and the average of their gradients, are those of the loops.

    ``ranks`` holds (logged, gradients) of each one.
    """
    for (logged, _), expected in zip(ranks, by_hand, strict=True):
        total = expected['total'].detach()
        torch.testing.assert_close(logged['loss'], total, rtol=0, atol=1e-8)
        for name in expected['terms'][0]:
            values = [torch.as_tensor(row[name]) for row in expected['terms']]
            mean = torch.stack(values).mean().detach().double()
            torch.testing.assert_close(logged[name], mean, rtol=0, atol=1e-8)
    (sum(rank['total'] for rank in by_hand) / len(by_hand)).backward()
    for _, grads in ranks:
        for name, gradient in grads.items():
            expected = model.get_parameter(name).grad
            expected = torch.zeros_like(gradient) if expected is None else expected
            torch.testing.assert_close(gradient, expected, rtol=1e-8, atol=1e-8)
