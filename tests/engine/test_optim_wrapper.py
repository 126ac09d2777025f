"""Guarded optimiser steps on a model of a few numbers."""

import copy
import math

import pytest
import torch
from mmengine.logging import MessageHub
from mmengine.optim import CosineAnnealingLR, build_optim_wrapper
from ranks import run_distributed
from torch import nn
from torch.nn.parallel import DistributedDataParallel

import poa_mm  # noqa: F401

LR, WD = 0.1, 0.04
NAN, INF = math.nan, math.inf
HAS_GPU = 'mmengine.optim.optimizer.amp_optimizer_wrapper.is_cuda_available'


class Model(nn.Module):
    """A backbone of 18 parameters, a head of 8 + 8 with the last 8 in its prototypes."""

    def __init__(self):
        super().__init__()
        self.backbone = nn.Linear(5, 3)
        self.head = nn.Module()
        self.head.mlp = nn.Linear(3, 2)
        self.head.prototypes = nn.Linear(2, 4, bias=False)

    def forward(self, x):
        return self.head.prototypes(self.head.mlp(self.backbone(x))).square().mean()


@pytest.fixture
def model():
    torch.manual_seed(0)
    return Model()


@pytest.fixture
def amp(monkeypatch):
    """Builds ``GuardedAmpOptimWrapper``, which looks for a GPU first but steps on a CPU as well."""
    monkeypatch.setattr(HAS_GPU, lambda: True)
    return mixed


def wrap(model, optimizer='AdamW', weight_decay=WD, **changes):
    cfg = {
        'type': 'GuardedOptimWrapper',
        'optimizer': {'type': optimizer, 'lr': LR, 'weight_decay': weight_decay},
        'constructor': 'LayerDecayConstructor',
        **changes,
    }
    return build_optim_wrapper(model, cfg)


def mixed(model, scale=None, dtype='float16', **changes):
    wrapper = wrap(model, type='GuardedAmpOptimWrapper', dtype=dtype, **changes)
    if scale is not None:
        wrapper.loss_scaler = torch.amp.GradScaler('cpu', init_scale=scale)
    return wrapper


def images(seed=0):
    return torch.randn(4, 5, generator=torch.Generator().manual_seed(seed))


def weights(model):
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}


def moved(model, before):
    return {name for name, value in weights(model).items() if not torch.equal(value, before[name])}


def counters(wrapper):
    return (wrapper.skipped, wrapper.skipped_in_a_row, wrapper.last_step_skipped)


def logged(name):
    return MessageHub.get_current_instance().get_scalar(f'train/{name}').current()


def set_gradients(model, backbone, head):
    for name, parameter in model.named_parameters():
        value = backbone if name.startswith('backbone.') else head
        parameter.grad = torch.full_like(parameter, value)


# Clipping


@pytest.mark.parametrize(
    ('clip', 'backbone_by', 'head_by'),
    [
        ({'max_norm': 1.5}, 1.5 / (3 * math.sqrt(18)), 1.0),  # ‖head‖ = 0.4 is below
        ({'max_norm': 0.1}, 0.1 / (3 * math.sqrt(18)), 0.1 / 0.4),
        (None, 1.0, 1.0),
    ],
)
def test_each_module_is_clipped_by_itself(model, clip, backbone_by, head_by):
    wrapper = wrap(model, 'SGD', weight_decay=0.0, clip_grad=clip)
    before = weights(model)
    set_gradients(model, backbone=3.0, head=0.1)
    wrapper.step()
    for name, value in weights(model).items():
        change = 3.0 * backbone_by if name.startswith('backbone.') else 0.1 * head_by
        expected = before[name] - LR * change
        torch.testing.assert_close(value, expected, rtol=1e-5, atol=1e-6)
    # The log has the norms before clipping.
    assert logged('grad_norm_backbone') == pytest.approx(3 * math.sqrt(18))
    assert logged('grad_norm_head') == pytest.approx(0.4)
    assert logged('grad_norm') == pytest.approx(math.sqrt(9 * 18 + 0.16))


@pytest.mark.parametrize('clip', [{'max_norm': 0}, {'type': 'value', 'clip_value': 1}, {}])
def test_other_ways_of_clipping_are_refused(model, clip):
    with pytest.raises(ValueError, match=r'clip_grad must be dict\(max_norm=\.\.\.\) above 0'):
        wrap(model, clip_grad=clip)


def test_groups_without_labels_are_refused(model):
    with pytest.raises(ValueError, match=r'needs the labelled groups.*LayerDecayConstructor'):
        wrap(model, constructor='DefaultOptimWrapperConstructor')


# Bad steps


@pytest.mark.parametrize('bad', [NAN, INF, -INF, 1e30], ids=['nan', 'inf', '-inf', 'norm'])
@pytest.mark.parametrize('parameter', ['backbone.bias', 'head.prototypes.weight'])
def test_a_bad_step_changes_nothing_but_the_counters(model, bad, parameter):
    wrapper = wrap(model, clip_grad={'max_norm': 1.5})
    wrapper.update_params(model(images()))
    norms = [logged(name) for name in ('grad_norm', 'grad_norm_backbone')]
    before, state = weights(model), copy.deepcopy(wrapper.optimizer.state_dict()['state'])

    set_gradients(model, 1.0, 1.0)
    model.get_parameter(parameter).grad.view(-1)[0] = bad
    wrapper.step()
    wrapper.zero_grad()
    assert counters(wrapper) == (1, 1, True)
    assert moved(model, before) == set()
    torch.testing.assert_close(
        wrapper.optimizer.state_dict()['state'], state, rtol=0, atol=0, equal_nan=False
    )
    assert [logged(name) for name in ('grad_norm', 'grad_norm_backbone')] == norms

    wrapper.update_params(model(images(1)))
    assert counters(wrapper) == (1, 0, False)
    assert moved(model, before) == set(before)


def test_bad_steps_in_a_row_add_up(model):
    wrapper = wrap(model)
    seen = []
    for loss_weight in (1, NAN, NAN, 1, INF):
        wrapper.update_params(model(images()) * loss_weight)
        seen.append(counters(wrapper))
    assert seen == [(0, 0, False), (1, 1, True), (2, 2, True), (2, 0, False), (3, 1, True)]


def test_one_bad_batch_spoils_its_effective_batch(model):
    wrapper = wrap(model, accumulative_counts=2)
    before = weights(model)
    wrapper.update_params(model(images()) * NAN)
    assert counters(wrapper) == (0, 0, False)
    wrapper.update_params(model(images(1)))
    assert counters(wrapper) == (1, 1, True)
    assert moved(model, before) == set()
    for seed in (2, 3):
        wrapper.update_params(model(images(seed)))
    assert counters(wrapper) == (1, 0, False)
    assert moved(model, before) == set(before)


def test_parameters_without_a_gradient_do_not_matter(model):
    wrapper = wrap(model)
    before = weights(model)
    wrapper.update_params(model.head.mlp(torch.ones(3)).sum())
    assert moved(model, before) == {'head.mlp.weight', 'head.mlp.bias'}
    assert counters(wrapper) == (0, 0, False)


def test_the_counters_are_saved(model):
    wrapper = wrap(model)
    for loss_weight in (NAN, 1, NAN):
        wrapper.update_params(model(images()) * loss_weight)
    state = copy.deepcopy(wrapper.state_dict())
    again = wrap(model)
    again.load_state_dict(state)
    assert (again.skipped, again.skipped_in_a_row) == (2, 1)
    torch.testing.assert_close(
        again.optimizer.state_dict()['state'], wrapper.optimizer.state_dict()['state']
    )


def test_the_state_of_a_plain_wrapper_loads(model):
    plain = wrap(model, type='OptimWrapper')
    plain.update_params(model(images()))
    guarded = wrap(model)
    guarded.load_state_dict(copy.deepcopy(plain.state_dict()))
    assert counters(guarded) == (0, 0, False)
    assert {state['step'].item() for state in guarded.optimizer.state.values()} == {1.0}


# Freezing


def test_frozen_groups_keep_still_and_keep_their_averages(model):
    twin = copy.deepcopy(model)
    wrapper, free = wrap(model), wrap(twin)
    wrapper.freeze(['last_layer'])
    before = weights(model)
    for seed in range(3):
        loss = model(images(seed))
        twin.load_state_dict(model.state_dict())  # the same gradients
        wrapper.update_params(loss)
        free.update_params(twin(images(seed)))
    last = 'head.prototypes.weight'
    assert moved(model, before) == set(before) - {last}
    # The averages are those of a parameter that was free to move.
    for name in before:
        mine = wrapper.optimizer.state[model.get_parameter(name)]
        torch.testing.assert_close(mine, free.optimizer.state[twin.get_parameter(name)])

    wrapper.freeze([])
    wrapper.update_params(model(images(3)))
    assert moved(model, before) == set(before)


def test_schedules_go_on_while_groups_are_frozen(model):
    wrapper, free = wrap(model), wrap(copy.deepcopy(model))
    schedules = [CosineAnnealingLR(w, T_max=5, eta_min=0, by_epoch=False) for w in (wrapper, free)]
    for step in range(4):
        wrapper.freeze(['backbone', 'last_layer'] if step in (1, 2) else [])
        seen = []
        wrapper.optimizer.register_step_pre_hook(
            lambda optimizer, *_, seen=seen: seen.extend(
                (group['lr'], group['weight_decay']) for group in optimizer.param_groups
            )
        )
        wrapper.update_params(model(images()))
        # Of two groups of the backbone, two of the head and its last layer.
        lr = LR * (1 + math.cos(math.pi * step / 5)) / 2
        stored = [(lr, 0.0), (lr, 0.0), (lr, WD), (lr, WD), (lr, WD)]
        still = [(0.0, 0.0), stored[1], (0.0, 0.0), stored[3], (0.0, 0.0)]
        expected = still if step in (1, 2) else stored
        assert seen == [pytest.approx(row) for row in expected]
        after = [(group['lr'], group['weight_decay']) for group in wrapper.optimizer.param_groups]
        assert after == [pytest.approx(row) for row in stored]
        for schedule in schedules:
            schedule.step()
        assert wrapper.get_lr() == free.get_lr()


def test_a_step_that_fails_leaves_the_learning_rates(model, monkeypatch):
    wrapper = wrap(model)
    wrapper.freeze(['backbone'])
    monkeypatch.setattr(wrapper.optimizer, 'step', lambda: 1 / 0)
    set_gradients(model, 1.0, 1.0)
    with pytest.raises(ZeroDivisionError):
        wrapper.step()
    assert {group['lr'] for group in wrapper.optimizer.param_groups} == {LR}


def test_unknown_labels_are_refused(model):
    wrapper = wrap(model)
    message = r"cannot freeze \['neck'\]: the groups are \['backbone', 'head', 'last_layer'\]"
    with pytest.raises(ValueError, match=message):
        wrapper.freeze(['neck', 'head'])
    assert wrapper.frozen == frozenset()
    del model.head.prototypes
    with pytest.raises(ValueError, match=r"'last_layer'.*\['backbone', 'head'\]"):
        wrap(model).freeze(['last_layer'])


# Mixed precision


@pytest.mark.parametrize('clip', [None, {'max_norm': 0.01}])
def test_loss_scaling_leaves_the_step_as_it_is(model, amp, clip):
    twin = copy.deepcopy(model)
    scaled, plain = amp(model, scale=1024.0, clip_grad=clip), wrap(twin, clip_grad=clip)
    for seed in range(3):
        scaled.update_params(model(images(seed)))
        norm = logged('grad_norm')
        plain.update_params(twin(images(seed)))
        assert norm == logged('grad_norm')
    assert moved(model, weights(twin)) == set()


def infinite_gradient(model):
    """A finite loss whose gradient is infinite at any scale."""
    return model(images()) + (model.backbone.bias - model.backbone.bias.detach()).sum().sqrt()


def test_an_overflow_lowers_the_scale_and_counts_once_the_scale_is_one(model, amp):
    wrapper = amp(model, scale=4.0)
    before = weights(model)
    seen = []
    for _ in range(4):
        loss = infinite_gradient(model)
        assert loss.isfinite()
        wrapper.update_params(loss)
        seen.append((wrapper.loss_scaler.get_scale(), *counters(wrapper)))
    assert seen == [(2, 0, 0, True), (1, 0, 0, True), (0.5, 1, 1, True), (0.25, 2, 2, True)]
    assert moved(model, before) == set()
    wrapper.update_params(model(images()))
    assert counters(wrapper) == (2, 0, False)
    assert moved(model, before) == set(before)


def test_a_bad_loss_counts_at_any_scale(model, amp):
    wrapper = amp(model, scale=4.0, accumulative_counts=2)
    wrapper.update_params(model(images()) * NAN)
    wrapper.update_params(model(images()))
    assert counters(wrapper) == (1, 1, True)
    # The bad loss is forgotten: the next overflow is the scaler's business again.
    for _ in range(2):
        wrapper.update_params(infinite_gradient(model))
    assert counters(wrapper) == (1, 1, True)
    assert wrapper.loss_scaler.get_scale() == 1


def test_what_the_scaler_cannot_mend_counts(model, amp):
    """Every value is finite, the norm is not: the scale stays."""
    wrapper = amp(model, scale=4.0)
    wrapper.update_params(model(images()) + 1e30 * model.backbone.bias.sum())
    assert wrapper.loss_scaler.get_scale() == 4
    assert counters(wrapper) == (1, 1, True)


def test_a_fixed_scale_counts(model, amp):
    wrapper = amp(model, loss_scale=4.0)
    wrapper.loss_scaler = torch.amp.GradScaler('cpu', init_scale=4.0)
    wrapper.update_params(infinite_gradient(model))
    assert wrapper.loss_scaler.get_scale() == 4
    assert counters(wrapper) == (1, 1, True)


@pytest.mark.parametrize('dtype', ['bfloat16', 'float32'])
def test_only_float16_scales_the_loss(model, amp, dtype):
    twin = copy.deepcopy(model)
    wrapper, plain = amp(model, dtype=dtype), wrap(twin)
    assert not wrapper.loss_scaler.is_enabled()
    for loss_weight in (1, NAN, 1):
        wrapper.update_params(model(images()) * loss_weight)
        plain.update_params(twin(images()) * loss_weight)
    assert moved(model, weights(twin)) == set()
    assert counters(wrapper) == (1, 0, False)
    assert wrapper._losses == []


@pytest.mark.parametrize(('first', 'second'), [('bfloat16', 'float16'), ('float16', 'float16')])
def test_a_run_goes_on_in_another_precision(model, amp, first, second):
    wrapper = amp(model, dtype=first, scale=8.0 if first == 'float16' else None)
    for loss_weight in (1, NAN):
        wrapper.update_params(model(images()) * loss_weight)
    again = amp(model, dtype=second, scale=32.0)
    again.load_state_dict(copy.deepcopy(wrapper.state_dict()))
    assert (again.skipped, again.skipped_in_a_row) == (1, 1)
    again.update_params(model(images()))
    # A bad step has halved the scale of the first run.
    assert again.loss_scaler.get_scale() == (4 if first == 'float16' else 32)


def test_fsdp_is_refused(model, amp):
    with pytest.raises(ValueError, match='with DDP, not with use_fsdp=True'):
        amp(model, use_fsdp=True)


# Several ranks


def step_on_ranks(rank, precision):
    torch.manual_seed(0)
    model = Model()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(HAS_GPU, lambda: True)
        make = {'float32': wrap, 'float16': lambda model: mixed(model, scale=4.0)}[precision]
        wrapper = make(model)
    parallel = DistributedDataParallel(model)
    start = weights(model)
    rows = []
    for bad_rank in (1, 0, None):  # whose loss is NaN
        loss = parallel(images(rank)) * (NAN if rank == bad_rank else 1)
        wrapper.update_params(loss)
        rows.append({'counters': list(counters(wrapper)), 'weights': weights(model)})
    return {'start': start, 'rows': rows}


@pytest.mark.parametrize('precision', ['float32', 'float16'])
def test_a_bad_loss_of_one_rank_is_skipped_by_all(precision):
    first, second = run_distributed(step_on_ranks, 2, precision)
    assert [row['counters'] for row in first['rows']] == [[1, 1, True], [2, 2, True], [2, 0, False]]
    assert [row['counters'] for row in second['rows']] == [row['counters'] for row in first['rows']]
    for name, value in first['start'].items():
        for rank in (first, second):
            assert torch.equal(rank['rows'][0]['weights'][name], value)
            assert torch.equal(rank['rows'][1]['weights'][name], value)
            assert not torch.equal(rank['rows'][2]['weights'][name], value)
        assert torch.equal(first['rows'][2]['weights'][name], second['rows'][2]['weights'][name])
