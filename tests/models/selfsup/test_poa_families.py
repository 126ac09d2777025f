"""POA and V1 on the other families: the whole step against extracted stock networks."""

import copy

import pytest
import torch
import torch.nn.functional as F
from tiny.networks import TINY_POA, randomise

from poa_mm.models.losses import koleo_loss, sinkhorn_knopp
from poa_mm.registry import MODELS

BATCH, VIEWS = 3, 2
FAMILIES = {
    'swin': (
        {
            'type': 'ElasticSwinTransformer',
            'arch': {'embed_dims': 16, 'depths': [1, 1, 3, 1], 'num_heads': [2, 4, 8, 16]},
            'widths': [8, 16],
            'depths': [5, 6],
            'img_size': 64,
            'window_size': 4,
            'pad_small_map': True,
            'drop_path_rate': 0.0,
        },
        ['w8-d5', 'w16-d5', 'w8-d6'],
    ),
    'resnet': (
        {
            'type': 'ElasticResNet',
            'arch': {'stage_blocks': (1, 2, 3, 1), 'mid_channels': 16, 'out_channels': 16},
            'stem_channels': 8,
            'widths': [8, 12, 16],
            'depths': [(1, d2, d3, 1) for d2 in (1, 2) for d3 in (2, 3)],
            'norm_cfg': {'type': 'GN', 'num_groups': 4},
        },
        ['w8-d1-1-2-1', 'w12-d1-2-2-1', 'w16-d1-1-3-1'],
    ),
}


def build(family, **changes):
    torch.manual_seed(0)
    poa = MODELS.build({**copy.deepcopy(TINY_POA), 'backbone': FAMILIES[family][0], **changes})
    for seed, part in enumerate((poa.backbone, poa.head, poa.teacher)):
        randomise(part, seed)
    return poa.double()


def crops():
    generator = torch.Generator().manual_seed(5)
    sizes = ((2 * BATCH, 64), (VIEWS * BATCH, 32))
    return [torch.randn(n, 3, s, s, generator=generator).double() for n, s in sizes]


def cross_entropy(targets, logits):
    return -(targets * (logits / 0.1).log_softmax(dim=1)).sum(dim=1)


def pooled_by(net):
    """Features of all global and of all local crops: the mean of the last map."""
    return [net(views)[-1].mean(dim=(2, 3)) for views in crops()]


def cross_view(teacher_logits, global_logits, local_logits):
    """L_IS or L_ES1 of global and of local views in one head (Eq. 6 to 9)."""
    (targets,) = sinkhorn_knopp([teacher_logits], 0.05)
    first, second = targets.chunk(2)
    pairs = 2 + 2 * VIEWS
    swapped = cross_entropy(torch.cat([second, first]), global_logits).mean()
    both = sum(
        cross_entropy(target, view).mean()
        for target in (first, second)
        for view in local_logits.chunk(VIEWS)
    )
    return 2 * swapped / pairs, both / pairs


def koleo_of(features):
    return sum(koleo_loss(F.normalize(view)) for view in features.chunk(2))


CASES = [(family, name) for family, (_, names) in FAMILIES.items() for name in names]


@pytest.mark.parametrize(('family', 'name'), CASES)
def test_terms_equal_formulas_on_stock_networks(family, name):
    """Mean of the last map as class token; masks are tested with the backbones."""
    poa = build(family)
    global_crops, local_crops = crops()
    terms = poa.losses(global_crops, local_crops, None, name, teacher_temp=0.05)
    nets = {
        'teacher': poa.teacher.backbone.extract(),
        'intact': poa.backbone.extract(),
        'elastic': poa.backbone.extract(name),
    }
    pooled = {key: pooled_by(net) for key, net in nets.items()}
    for index, head in enumerate(poa.head.heads):
        logits = poa.teacher.head.heads[index](pooled['teacher'][0])
        students = {key: [head(x) for x in pooled[key]] for key in ('intact', 'elastic')}
        for key, (global_logits, local_logits) in students.items():
            of_global, of_local = cross_view(logits, global_logits, local_logits)
            torch.testing.assert_close(terms[f'{key}_global'][index], of_global)
            torch.testing.assert_close(terms[f'{key}_local'][index], of_local)
        for part, kind in enumerate(('global', 'local')):
            wanted = (students['intact'][part] / 0.1).softmax(dim=1)
            same = cross_entropy(wanted, students['elastic'][part]).mean()
            torch.testing.assert_close(terms[f'same_view_{kind}'][index], same)
    for key in ('intact', 'elastic'):
        torch.testing.assert_close(terms[f'{key}_koleo'], koleo_of(pooled[key][0]))


@pytest.mark.parametrize(('family', 'name'), [('swin', 'w8-d5'), ('resnet', 'w12-d1-2-2-1')])
def test_loss_and_gradient_of_v1(family, name):
    """The total is written out; its gradient is that of differences along a direction."""
    model = build(family, type='POAV1', koleo_weight=0.3)
    total = model.losses(*crops(), None, name, teacher_temp=0.05)['total']
    teacher = pooled_by(model.teacher.backbone.extract(name))[0]
    student = pooled_by(model.backbone.extract(name))
    expected = sum(
        sum(cross_view(of_teacher(teacher), *map(head, student)))
        for of_teacher, head in zip(model.teacher.head.heads, model.head.heads, strict=True)
    )
    expected = expected / len(model.head.heads) + 0.3 * koleo_of(student[0])
    torch.testing.assert_close(total, expected)
    masks = model.block_masks(2 * BATCH, model.backbone.mask_grid(64, 64), step=0)
    model.losses(*crops(), masks, name)['total'].backward()
    generator = torch.Generator().manual_seed(3)
    trained = model.trained_parameters()
    direction = [torch.randn(p.shape, generator=generator).double() for p in trained]
    slope = sum((p.grad * d).sum() for p, d in zip(trained, direction, strict=True))
    totals = []
    # To one side of where the parameters are, then to the other; too near for a kink of ReLU.
    for step in (1e-8, -2e-8):
        with torch.no_grad():
            torch._foreach_add_(trained, direction, alpha=step)
        totals.append(model.losses(*crops(), masks, name)['total'].detach())
    torch.testing.assert_close(slope, (totals[0] - totals[1]) / 2e-8, rtol=1e-6, atol=0)


@pytest.mark.parametrize('family', FAMILIES)
def test_every_parameter_learns_with_all_terms_on(family):
    poa = build(family)
    grid = poa.backbone.mask_grid(64, 64)
    masks = poa.block_masks(2 * BATCH, grid, step=0)
    assert masks.any()
    terms = poa.losses(*crops(), masks)
    terms['total'].backward()
    assert {'intact_patch', 'elastic_patch'} <= set(terms)
    for name, parameter in [*poa.backbone.named_parameters(), *poa.head.named_parameters()]:
        assert parameter.grad is not None, name
        assert parameter.grad.any() or 'qkv.bias' in name, name


@pytest.mark.parametrize('family', FAMILIES)
def test_masked_patches_are_what_the_student_predicts(family):
    """A change behind the mask reaches the teacher alone."""
    poa = build(family)
    global_crops, local_crops = crops()
    masks = torch.zeros(2 * BATCH, 16, dtype=torch.bool)
    # Of a ResNet all: its stem looks beyond a patch, and its norm at the whole image.
    masks[:, 5 if family == 'swin' else slice(None)] = True
    before = poa.losses(global_crops, local_crops, masks, 'smallest')
    poa.teacher.requires_grad_(False)
    for parameter in poa.teacher.parameters():
        parameter.zero_()  # a teacher that says nothing of the image
    silent = poa.losses(global_crops, local_crops, masks, 'smallest')
    changed = global_crops.clone()
    changed[:, :, 16:32, 16:32] += 1
    assert not torch.equal(before['intact_patch'], silent['intact_patch'])
    hidden = poa.losses(changed, local_crops, masks, 'smallest')
    for name, value in silent.items():
        assert torch.equal(hidden[name], value), name
