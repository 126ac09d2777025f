"""The whole step against plain formulas on extracted stock networks."""

import pytest
import torch
from helpers import run_distributed
from tiny import TINY_POA, randomise
from torch.nn.parallel import DistributedDataParallel

import poa_mm  # noqa: F401
from poa_mm.models.losses import distillation_losses, sinkhorn_knopp
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


@pytest.mark.parametrize('name', ['w16-d2', 'w24-d3', 'w32-d2'])
def test_step_equals_plain_formulas_on_stock_networks(name):
    poa = build().double()
    global_crops, local_crops = crops()
    terms = poa.losses(global_crops, local_crops, subnet=name, teacher_temp=0.05)

    teacher, intact = poa.teacher.backbone.extract(), poa.backbone.extract()
    elastic = poa.backbone.extract(name)
    total = 0.0
    for index, head in enumerate(poa.head.heads):
        teacher_logits = poa.teacher.head.heads[index](teacher(global_crops)[0])
        (targets,) = sinkhorn_knopp([teacher_logits], 0.05)
        expected = distillation_losses(
            targets,
            (head(intact(global_crops)[0]), head(intact(local_crops)[0])),
            (head(elastic(global_crops)[0]), head(elastic(local_crops)[0])),
            temperature=0.1,
        )
        for term, value in expected.items():
            torch.testing.assert_close(terms[term][index], value, rtol=0, atol=1e-10)
        values = list(expected.values())
        total = total + (0.8 * sum(values[:2]) + 0.2 * sum(values[2:])) / 2
    torch.testing.assert_close(terms['total'], total, rtol=0, atol=1e-10)


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
    expected = poa.losses(global_crops, local_crops, subnet=poa.sampler(0), teacher_temp=0.05)
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


def half_batch_step(rank):
    poa = build(sampler={'per_rank': False})
    model = DistributedDataParallel(poa)
    mine = slice(rank * BATCH // 2, (rank + 1) * BATCH // 2)
    global_crops, local_crops = crops(torch.float32)
    views = [view[mine] for view in (*global_crops.split(BATCH), *local_crops.split(BATCH))]
    loss = model(views, None, mode='loss')['loss']
    loss.backward()
    return loss.detach(), {name: p.grad for name, p in poa.named_parameters() if p.requires_grad}


def test_two_processes_equal_one_with_the_double_batch():
    poa = build(sampler={'per_rank': False})
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
