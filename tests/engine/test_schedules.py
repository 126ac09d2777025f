"""Schedules against tables by hand: our own, and those that configs make of mmengine's."""

import math

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.optim import CosineAnnealingLR, LinearLR, OptimWrapper
from mmpretrain.engine.schedulers import CosineAnnealingWeightDecay
from tiny.poa_runs import make_runner

from poa_mm.engine.schedules import cosine, linear

HALF_SQRT_2 = 0.7071067811865476


def test_cosine():
    # 2 at the start, 0 at the end: 1 + cos(π · step / 4).
    table = [2, 1 + HALF_SQRT_2, 1, 1 - HALF_SQRT_2, 0, 0, 0]
    assert [cosine(2, 0, step, 4) for step in range(7)] == pytest.approx(table, abs=1e-12)


def test_cosine_of_the_momentum_rises():
    assert cosine(0.992, 0.9999, 0, 10) == pytest.approx(0.992, abs=1e-15)
    assert cosine(0.992, 0.9999, 5, 10) == pytest.approx((0.992 + 0.9999) / 2, abs=1e-12)
    assert cosine(0.992, 0.9999, 10, 10) == 0.9999
    assert cosine(0.992, 0.9999, 10**9, 10) == 0.9999


def test_linear():
    table = [0.04, 0.05, 0.06, 0.07, 0.07, 0.07]
    assert [linear(0.04, 0.07, step, 3) for step in range(6)] == pytest.approx(table, abs=1e-15)


@pytest.mark.parametrize('schedule', [cosine, linear])
def test_a_schedule_of_no_steps_has_ended(schedule):
    assert [schedule(1, 3, step, 0) for step in range(3)] == [3, 3, 3]


def half_cosine(start, end, progress):
    return end + (start - end) * (1 + math.cos(math.pi * progress)) / 2


LR, FLOOR, START = 0.01, 0.0004, 0.125
ITERS, WARMUP = 10, 4


def curves(fraction):
    """Learning rate, as a factor, and weight decay of each iteration, as the paper has them."""
    rates = [START + (1 - START) * i / (WARMUP - 1) for i in range(WARMUP)]
    length = (ITERS - WARMUP) / fraction
    rates += [half_cosine(1, FLOOR / LR, i / length) for i in range(ITERS - WARMUP)]
    decays = [half_cosine(0.04, 0.4, i * fraction / ITERS) for i in range(ITERS)]
    return rates, decays


def config(iters, warmup, floor_ratio, fraction, start):
    """What a config has to say."""
    return [
        {
            'type': 'LinearLR',
            'start_factor': start,
            'by_epoch': False,
            'begin': 0,
            'end': warmup,
        },
        {
            'type': 'CosineAnnealingLR',
            'eta_min_ratio': floor_ratio,
            'T_max': (iters - warmup) / fraction,
            'by_epoch': False,
            'begin': warmup,
            'end': iters,
        },
        {
            'type': 'CosineAnnealingWeightDecay',
            'eta_min': 0.4,
            'T_max': iters / fraction,
            'by_epoch': False,
            'begin': 0,
            'end': iters,
        },
    ]


class Groups(Hook):
    """Keeps what each step used, by group: learning rate and weight decay."""

    def __init__(self):
        self.rows = {}

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        groups = runner.optim_wrapper.optimizer.param_groups
        self.rows[runner.iter] = [(group['lr'], group['weight_decay']) for group in groups]


def scheduled_run(tmp_path, fraction, **changes):
    schedule = config(ITERS, WARMUP, FLOOR / LR, fraction, START)
    runner, _ = make_runner(
        tmp_path,
        max_iters=ITERS,
        param_scheduler=schedule,
        optim_wrapper__paramwise_cfg={'layer_decay': 0.9, 'patch_embed_mult': 0.2},
        optim_wrapper__type='GuardedOptimWrapper',
        **changes,
    )
    groups = Groups()
    runner.register_hook(groups)
    runner.train()
    return groups.rows


@pytest.mark.parametrize('fraction', [1.0, 0.78])
def test_every_group_follows_the_curves_of_the_paper(tmp_path, fraction):
    rows = scheduled_run(tmp_path, fraction)
    rates, decays = curves(fraction)
    # In the order of the rates: patches, tokens, three blocks, then norm and head.
    layers = [
        *[(0.2 * 0.9**4, False), (0.2 * 0.9**4, True), (0.9**4, False)],
        *[(0.9**n, decay) for n in (3, 2, 1) for decay in (False, True)],
        *[(1.0, False), (1.0, False), (1.0, True), (1.0, True)],
    ]
    for i in range(ITERS):
        expected = [(LR * mult * rates[i], decays[i] if decay else 0.0) for mult, decay in layers]
        assert rows[i] == [pytest.approx(row, rel=1e-10) for row in expected]

    again = tmp_path / 'again'
    for start in (3, 6):  # in the warm-up and in the cosine
        resumed = scheduled_run(
            again / str(start),
            fraction,
            resume=True,
            load_from=str(tmp_path / f'iter_{start}.pth'),
        )
        assert resumed == {i: rows[i] for i in range(start, ITERS)}


def test_the_curves_of_the_paper_at_full_length():
    """ViT: 346 epochs of 800 iterations, ten of them warm-up, stopped at 0.78 of the cosine."""
    iters, warmup, lr, floor = 346 * 800, 8000, 0.005, 2e-5
    tensors = [torch.nn.Parameter(torch.zeros(1)) for _ in range(2)]
    groups = [{'params': tensors[:1]}, {'params': tensors[1:], 'lr': 0.9 * lr, 'weight_decay': 0.0}]
    wrapper = OptimWrapper(torch.optim.AdamW(groups, lr=lr, weight_decay=0.04))
    types = (LinearLR, CosineAnnealingLR, CosineAnnealingWeightDecay)
    schedules = []
    for kind, cfg in zip(types, config(iters, warmup, floor / lr, 0.78, 1e-6), strict=True):
        del cfg['type']
        schedules.append(kind(wrapper, **cfg))
    seen = {}
    for i in range(iters):
        if i % 800 == 0 or i == iters - 1:
            seen[i] = [(group['lr'], group['weight_decay']) for group in wrapper.param_groups[:2]]
        for schedule in schedules:
            schedule.step()
    for i, row in seen.items():
        if i < warmup:
            factor = 1e-6 + (1 - 1e-6) * i / (warmup - 1)
        else:
            factor = half_cosine(1, floor / lr, 0.78 * (i - warmup) / (iters - warmup))
        decay = half_cosine(0.04, 0.4, 0.78 * i / iters)
        expected = [(lr * factor, decay), (0.9 * lr * factor, 0.0)]
        assert row == [pytest.approx(pair, rel=1e-9) for pair in expected]
    rate, decay = seen[iters - 1][0]
    assert (round(rate / lr, 3), round(decay, 3)) == (0.118, 0.359)
    assert round(cosine(0.992, 0.9999, iters - 1, iters / 0.78), 4) == 0.9990
