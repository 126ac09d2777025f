"""Runs that go wrong on purpose."""

import math
import os

import pytest
import torch
from mmengine.hooks import Hook
from ranks import run_distributed
from tiny.poa_runs import POA_HOOK, make_runner

from poa_mm.engine import NanGuardHook
from poa_mm.engine.hooks.nan_guard_hook import ADVICE


class Poison(Hook):
    """Makes the images or, with the losses left finite, the gradients of some iterations NaN."""

    priority = 'VERY_HIGH'

    def __init__(self, iterations, where='images', view=0):
        self.iterations = iterations
        self.where = where
        self.view = view

    def before_train(self, runner):
        if self.where == 'gradients':
            runner.model.backbone.cls_token.register_hook(
                lambda gradient: gradient * (math.nan if self.bad else 1)
            )

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.bad = runner.iter in self.iterations
        if self.bad and self.where == 'images':
            data_batch['inputs'][self.view].fill_(math.nan)


def guarded_runner(tmp_path, poison, **changes):
    changes.setdefault('custom_hooks', [POA_HOOK, {'type': 'NanGuardHook', 'max_in_a_row': 2}])
    changes.setdefault('max_iters', 8)
    runner, recorder = make_runner(tmp_path, optim_wrapper__type='GuardedOptimWrapper', **changes)
    runner.register_hook(poison)
    return runner, recorder


def skipped(runner):
    return list(runner.message_hub.get_scalar('train/skipped_steps').data[0])


def test_a_run_survives_bad_steps_that_are_not_too_many_in_a_row(tmp_path):
    runner, recorder = guarded_runner(tmp_path, Poison({1, 3, 5}))
    runner.train()
    assert skipped(runner) == [0, 1, 1, 2, 2, 3, 3, 3]
    finite = [math.isfinite(row['loss']) for row in recorder.rows]
    assert finite == [True, False, True, False, True, False, True, True]
    assert all(value.isfinite().all() for value in runner.model.state_dict().values())


def test_the_report_of_losses_that_are_not_finite(tmp_path):
    runner, recorder = guarded_runner(tmp_path, Poison({1}))
    runner.register_hook(Poison({4, 5}, view=2))  # a local view, which the teacher does not see
    with pytest.raises(RuntimeError) as error:
        runner.train()
    assert skipped(runner) == [0, 1, 1, 1, 2, 3]
    subnet = runner.model.sampler(5)
    first, *ranks, advice = str(error.value).splitlines()
    assert first == (
        'stopped at iteration 5: the gradient was not finite in 2 steps in a row '
        '(3 in the whole run); these steps were skipped'
    )
    assert advice == ADVICE
    good, bad = recorder.rows[3], recorder.rows[4]
    terms = sorted(name for name, value in bad.items() if not math.isfinite(value))
    assert {'loss', 'intact_local', 'elastic_local'} <= set(terms)
    assert 'intact_global' not in terms  # it is whole again since iteration 1
    expected = ', '.join(f'{name} (was {good[name]:.4g})' for name in terms)
    assert ranks == [f'rank 0, sub-network {subnet}: not finite: {expected}']


class Centers(Hook):
    """Keeps the centers after each iteration."""

    priority = 'LOWEST'

    def __init__(self):
        self.rows = []

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.rows.append(torch.cat(list(runner.model.centering.buffers())))


def test_a_skipped_step_leaves_the_centers_alone(tmp_path):
    """Its first batch is a good one, and the teacher does not see what is wrong with the second."""
    runner, _ = guarded_runner(
        tmp_path,
        Poison({3}, view=2),
        max_iters=6,
        model__centering='centering',
        optim_wrapper__accumulative_counts=2,
    )
    centers = Centers()
    runner.register_hook(centers)
    runner.train()
    rows = centers.rows
    assert not rows[0].any()
    assert rows[1].any()
    assert all(torch.equal(rows[1], rows[i]) for i in (2, 3, 4))
    assert not torch.equal(rows[1], rows[5])
    assert rows[5].isfinite().all()


def test_the_report_of_gradients_alone(tmp_path):
    runner, _ = guarded_runner(tmp_path, Poison({0, 1}, where='gradients'))
    with pytest.raises(RuntimeError, match='stopped at iteration 1') as error:
        runner.train()
    lines = str(error.value).splitlines()
    assert lines[1:] == ['all logged terms were finite: the backward pass was not', ADVICE]


def test_the_report_of_a_run_that_never_was_finite(tmp_path):
    runner, _ = guarded_runner(tmp_path, Poison(set(range(8))))
    with pytest.raises(RuntimeError, match=r'intact_global \(was none\)'):
        runner.train()


def test_bad_batches_of_an_effective_batch_are_one_bad_step(tmp_path):
    runner, _ = guarded_runner(
        tmp_path, Poison({0, 1, 2, 5, 6}), optim_wrapper__accumulative_counts=2
    )
    with pytest.raises(RuntimeError, match=r'stopped at iteration 3.*rank 0.*loss \(was \d'):
        raise_flat(runner)
    assert skipped(runner) == [1, 2]


def raise_flat(runner):
    """Train, and make one line of an error, which patterns match more easily."""
    try:
        runner.train()
    except RuntimeError as error:
        raise RuntimeError(' '.join(str(error).splitlines())) from error


def test_the_guard_needs_a_wrapper_that_skips(tmp_path):
    runner, _ = make_runner(tmp_path, custom_hooks=[POA_HOOK, {'type': 'NanGuardHook'}])
    with pytest.raises(TypeError, match=r'NanGuardHook needs GuardedOptimWrapper.*OptimWrapper'):
        runner.train()


def test_ten_bad_steps_are_the_default():
    assert NanGuardHook().max_in_a_row == 10
    with pytest.raises(ValueError, match='max_in_a_row must be at least 1, got 0'):
        NanGuardHook(0)


def train_rank(rank, folder):
    os.environ['LOCAL_RANK'] = '0'
    runner, _ = guarded_runner(
        f'{folder}/{rank}',
        # A local view: global ones would reach the other rank through the teacher's targets.
        Poison({2, 3} if rank == 1 else (), view=2),
        launcher='pytorch',
        model_wrapper_cfg={'type': 'MMDistributedDataParallel', 'device_ids': None},
    )
    with pytest.raises(RuntimeError) as error:
        runner.train()
    subnets = [str(runner.model.module.sampler(3, rank)) for rank in range(2)]
    state = runner.model.module.state_dict()
    return {'error': str(error.value), 'subnets': subnets, 'state': state}


@pytest.mark.skipif(torch.cuda.is_available(), reason='gloo, as on a machine without a GPU')
def test_all_ranks_stop_with_one_report(tmp_path):
    first, second = run_distributed(train_rank, 2, str(tmp_path))
    assert first['error'] == second['error']
    lines = first['error'].splitlines()
    assert len(lines) == 3
    assert lines[0].startswith('stopped at iteration 3')
    assert lines[1].startswith(f'rank 1, sub-network {first["subnets"][1]}: not finite: ')
    assert first['subnets'] == second['subnets']
    for name, value in first['state'].items():
        assert torch.equal(value, second['state'][name])
        assert value.isfinite().all()
