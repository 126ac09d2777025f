"""POA as a module: what mmengine sees, the teacher, settings and inputs."""

import pytest
import torch
from ranks import run_distributed
from tiny.networks import TINY_POA, randomise
from torch._dynamo.utils import counters
from torch.nn.parallel import DistributedDataParallel

import poa_mm  # noqa: F401
from poa_mm.registry import MODELS

BATCH, VIEWS = 4, 3


def build(**overrides):
    torch.manual_seed(0)
    poa = MODELS.build({**TINY_POA, **overrides})
    randomise(poa.backbone, 1)
    randomise(poa.head, 2)
    randomise(poa.teacher, 3)
    return poa


def crops(dtype=torch.float64):
    generator = torch.Generator().manual_seed(5)
    return (
        torch.randn(2 * BATCH, 3, 16, 16, generator=generator, dtype=torch.float64).to(dtype),
        torch.randn(VIEWS * BATCH, 3, 8, 8, generator=generator, dtype=torch.float64).to(dtype),
    )


def test_gradients_reach_the_student_alone():
    poa = build()
    poa.losses(*crops(torch.float32), subnet='w16-d2')['total'].backward()
    assert all(p.grad is None for p in poa.teacher.parameters())
    for name, parameter in [*poa.backbone.named_parameters(), *poa.head.named_parameters()]:
        assert parameter.grad is not None, name


def test_mmengine_sees_one_loss():
    poa = build()
    global_crops, local_crops = crops(torch.float32)
    views = [*global_crops.split(BATCH), *local_crops.split(BATCH)]
    poa.teacher_temp = 0.05
    outputs = poa(views, None, mode='loss')
    masks = poa.block_masks(2 * BATCH, (4, 4), step=0)
    assert masks.any()
    expected = poa.losses(global_crops, local_crops, masks, poa.sampler(0), teacher_temp=0.05)
    assert [name for name in outputs if 'loss' in name] == ['loss']
    torch.testing.assert_close(outputs['loss'], expected.pop('total'))
    for name, term in expected.items():
        torch.testing.assert_close(outputs[name], term.mean())
        assert not outputs[name].requires_grad
    assert poa.step == 1
    log_vars = poa.parse_losses(outputs)[1]
    torch.testing.assert_close(log_vars['loss'], outputs['loss'])


def test_teacher_is_the_moving_average():
    poa = build()
    old = [p.clone() for p in poa.teacher.parameters()]
    student = [*poa.backbone.parameters(), *poa.head.parameters()]
    poa.update_teacher(momentum=0.9)
    for before, parameter, after in zip(old, student, poa.teacher.parameters(), strict=True):
        torch.testing.assert_close(after, 0.9 * before + 0.1 * parameter)


def test_names_of_teacher_and_student_correspond():
    poa = build()
    student = [name for name, _ in poa.named_parameters() if not name.startswith('teacher.')]
    teacher = [name for name, _ in poa.teacher.named_parameters()]
    assert student == teacher


def test_teacher_starts_as_the_student_and_stays_in_evaluation_mode():
    poa = build()
    poa.init_weights()
    student = [*poa.backbone.parameters(), *poa.head.parameters()]
    assert all(map(torch.equal, poa.teacher.parameters(), student))
    poa.train()
    assert poa.backbone.training
    assert not any(module.training for module in poa.teacher.modules())


# KoLeo and the masks are a matter of each rank's own batch.
SHARED = {'sampler': {'per_rank': False}, 'koleo_weight': 0.0, 'ibot_weight': 0.0}


def half_batch_step(rank):
    poa = build(**SHARED)
    model = DistributedDataParallel(poa)
    mine = slice(rank * BATCH // 2, (rank + 1) * BATCH // 2)
    global_crops, local_crops = crops(torch.float32)
    views = [view[mine] for view in (*global_crops.split(BATCH), *local_crops.split(BATCH))]
    loss = model(views, None, mode='loss')['loss']
    loss.backward()
    return loss.detach(), {name: p.grad for name, p in poa.named_parameters() if p.requires_grad}


def test_two_processes_equal_one_with_the_double_batch():
    poa = build(**SHARED)
    global_crops, local_crops = crops(torch.float32)
    loss = poa([*global_crops.split(BATCH), *local_crops.split(BATCH)], None, mode='loss')['loss']
    loss.backward()
    (loss_0, gradients), (loss_1, _) = run_distributed(half_batch_step, 2)
    torch.testing.assert_close((loss_0 + loss_1) / 2, loss.detach(), rtol=0, atol=1e-5)
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradient, poa.get_parameter(name).grad, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ('overrides', 'message'),
    [
        ({'intact_weight': 1.5}, 'intact_weight must be within 0…1, got 1.5'),
        ({'student_temp': 0.0}, 'student_temp must be positive, got 0.0'),
        ({'koleo_weight': -1.0}, 'koleo_weight must not be negative, got -1.0'),
        ({'ibot_weight': float('nan')}, 'ibot_weight must not be negative, got nan'),
        ({'centering': 'mean'}, "centering must be one of .*'centering'.*, got 'mean'"),
        ({'mask_ratio': (0.5, 0.1)}, 'mask_ratio must be'),
        ({'mask_prob': 1.5}, 'mask_prob must be within 0…1, got 1.5'),
        (
            {'elastic_from_teacher': False, 'elastic_from_intact': False},
            'the elastic student learns from nothing',
        ),
    ],
)
def test_wrong_arguments(overrides, message):
    with pytest.raises(ValueError, match=message):
        build(**overrides)


def test_crops_that_do_not_belong_together():
    poa = build()
    global_crops, local_crops = crops(torch.float32)
    with pytest.raises(ValueError, match='7 global and 12 local crops'):
        poa.losses(global_crops[:7], local_crops)
    with pytest.raises(ValueError, match='8 global and 11 local crops'):
        poa.losses(global_crops, local_crops[:11])
    with pytest.raises(ValueError, match='2 views'):
        poa(list(global_crops.split(BATCH)), None, mode='loss')
    with pytest.raises(ValueError, match='no sub-network'):
        poa.losses(global_crops, local_crops, subnet='w17-d2')


def test_koleo_needs_two_images():
    poa = build()
    global_crops, local_crops = crops(torch.float32)
    with pytest.raises(ValueError, match='KoLeo needs at least 2 images per GPU, got 1'):
        poa.losses(global_crops[:2], local_crops[:VIEWS])


@pytest.mark.parametrize('masks', [torch.zeros(8, 9, dtype=torch.bool), torch.zeros(8, 16)])
def test_masks_that_do_not_fit(masks):
    with pytest.raises(ValueError, match=r'masks must be \(8, 16\) bool, got'):
        build().losses(*crops(torch.float32), masks=masks)


def test_heads_are_logged_on_request():
    global_crops, local_crops = crops(torch.float32)
    views = [*global_crops.split(BATCH), *local_crops.split(BATCH)]
    outputs = build(log_heads=True)(views, None, mode='loss')
    for name in ('intact_global', 'same_view_local', 'elastic_patch'):
        heads = torch.stack([outputs[f'{name}_head0'], outputs[f'{name}_head1']])
        assert heads[0] != heads[1]
        torch.testing.assert_close(heads.mean(), outputs[name])
    assert 'intact_koleo_head0' not in outputs


def test_before_ibot_starts_no_patch_is_masked_and_every_parameter_has_a_gradient():
    poa = build()
    poa.ibot_active = False
    global_crops, local_crops = crops(torch.float32)
    outputs = poa([*global_crops.split(BATCH), *local_crops.split(BATCH)], None, mode='loss')
    outputs['loss'].backward()
    assert 'intact_patch' not in outputs
    assert poa.backbone.mask_token.grad.abs().max() == 0
    assert all(p.grad is not None for p in (*poa.backbone.parameters(), *poa.head.parameters()))


def test_without_an_elastic_student_the_intact_one_trains_alone():
    """The paper's baseline: its terms in full, not λ times."""
    alone, both = build(elastic_student=False), build()
    masks = both.block_masks(2 * BATCH, (4, 4), step=0)
    terms = alone.double().losses(*crops(), masks)
    pair = both.double().losses(*crops(), masks, subnet='w16-d2')
    assert set(terms) == {
        *('intact_global', 'intact_local', 'intact_patch', 'intact_koleo', 'total')
    }
    for name in set(terms) - {'total'}:
        torch.testing.assert_close(terms[name], pair[name])
    heads = terms['intact_global'] + terms['intact_local'] + terms['intact_patch']
    torch.testing.assert_close(terms['total'], heads.mean() + 0.1 * terms['intact_koleo'])


@pytest.mark.parametrize(
    ('switch', 'left'),
    [
        ('elastic_from_teacher', ('same_view_global', 'same_view_local')),
        ('elastic_from_intact', ('elastic_global', 'elastic_local', 'elastic_patch')),
    ],
)
def test_ablations_of_table_3(switch, left):
    poa = build(koleo_weight=0.0, **{switch: False}).double()
    terms = poa.losses(*crops(), poa.block_masks(2 * BATCH, (4, 4), step=0), subnet='w24-d3')
    intact = terms['intact_global'] + terms['intact_local'] + terms['intact_patch']
    elastic = sum(terms[name] for name in left)
    torch.testing.assert_close(terms['total'], (0.8 * intact + 0.2 * elastic).mean())


@pytest.mark.slow
def test_compiled_blocks_compute_the_same_and_serve_every_width():
    torch._dynamo.reset()
    counters.clear()
    plain = build()
    compiled = build(compile_blocks={'backend': 'aot_eager', 'dynamic': True})
    masks = plain.block_masks(2 * BATCH, (4, 4), step=0)
    graphs = []
    for subnet in ('w16-d2', 'w24-d3', 'w32-d4'):
        terms = [poa.losses(*crops(torch.float32), masks, subnet) for poa in (plain, compiled)]
        for key in terms[0]:
            torch.testing.assert_close(terms[1][key], terms[0][key])
        gradients = []
        for poa, term in zip((plain, compiled), terms, strict=True):
            poa.zero_grad()
            term['total'].backward()
            gradients.append([p.grad for p in poa.backbone.parameters()])
        for theirs, mine in zip(*gradients, strict=True):
            torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5)
        graphs.append(counters['stats']['unique_graphs'])
    assert not counters['unimplemented']  # nothing has fallen back to Python
    assert graphs[0] == graphs[-1]  # those of the first sub-network serve all
