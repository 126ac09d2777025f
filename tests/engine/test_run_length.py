"""Schedules follow the length of the run, in every config."""

import copy
import functools
import types

import pytest
import torch
from helpers import CONFIG, ROOT
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.config import Config
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop
from mmpretrain.registry import HOOKS, PARAM_SCHEDULERS

from poa_mm.engine.hooks.schedule_check_hook import contradictions
from poa_mm.engine.run_length import merge_options, without_short_warmups

# One of each schedule.
KINDS = [
    *('pretrain/poa_vit-l', 'pretrain/poa_swin-b_official', 'pretrain/poa_vit-tiny_photos'),
    *('det/cascade_poa_vit-s', 'det/cascade_poa_vit-tiny_overfit'),
    *('seg/upernet_poa_vit-s', 'seg/linear_poa_vit-l_640'),
]

PRETRAINING = sorted(
    f'pretrain/{path.stem}' for path in (ROOT / 'configs' / 'pretrain').glob('*.py')
)


@functools.cache
def read(name):
    return Config.fromfile(ROOT / 'configs' / f'{name}.py')


def load(name, **options):
    cfg = copy.deepcopy(read(name))
    merge_options(cfg, {key.replace('__', '.'): value for key, value in options.items()})
    return cfg


def run_of(cfg, iterations_of_an_epoch=1000):
    """What a hook sees of a run: its schedulers, built on one weight, and its length."""
    loop = IterBasedTrainLoop if 'max_iters' in cfg.train_cfg else EpochBasedTrainLoop
    epochs = cfg.train_cfg.get('max_epochs', 1)
    iters = cfg.train_cfg.get('max_iters', epochs * iterations_of_an_epoch)
    weight = torch.nn.Parameter(torch.zeros(1))
    wanted = cfg.optim_wrapper.optimizer
    optimizer = torch.optim.AdamW([weight], lr=wanted.lr, weight_decay=wanted.weight_decay)
    schedulers = []
    for given_cfg in cfg.param_scheduler:
        end = epochs if given_cfg.get('by_epoch', True) else iters
        schedulers.append(PARAM_SCHEDULERS.build({'end': end, **given_cfg, 'optimizer': optimizer}))
    hooks = [HOOKS.build(hook) for hook in cfg.get('custom_hooks', []) if hook['type'] == 'POAHook']
    return types.SimpleNamespace(
        param_schedulers=schedulers,
        cfg=cfg,
        train_loop=loop.__new__(loop),
        max_iters=iters,
        max_epochs=epochs,
        hooks=hooks,
        optimizer=optimizer,
    )


def rates(cfg):
    """Learning rate and weight decay of every iteration."""
    run, seen = run_of(cfg), []
    group = run.optimizer.param_groups[0]
    for _ in range(run.max_iters):
        seen.append((group['lr'], group['weight_decay']))
        for scheduler in run.param_schedulers:
            scheduler.step()
    return seen


@pytest.mark.parametrize('name', [*PRETRAINING, *KINDS[3:]])
def test_no_config_contradicts_itself(name):
    assert list(contradictions(run_of(load(name)))) == []


@pytest.mark.parametrize('name', KINDS)
@settings(max_examples=25, deadline=None)
@given(length=st.integers(1, 600), times=st.booleans())
def test_every_length_has_schedules_that_fit(name, length, times):
    """Short runs, and runs longer than the config's."""
    whole = load(name)
    key = 'max_epochs' if 'max_epochs' in whole.train_cfg else 'max_iters'
    length = whole.train_cfg[key] * length if times else length
    cfg = load(name, **{f'train_cfg__{key}': length})
    assert cfg.train_cfg[key] == length
    found = list(contradictions(run_of(cfg)))
    if key == 'max_epochs' and length < 3:  # 36 epochs have milestones, one or two have no room
        found = [line for line in found if 'milestones' not in line]
    assert found == []


def test_milestones_of_short_runs_lie_before_their_end():
    for length, expected in {3: [2, 2], 4: [3, 3], 5: [4, 4], 6: [4, 5], 12: [9, 11]}.items():
        steps = load('det/cascade_poa_vit-s', train_cfg__max_epochs=length).param_scheduler[-1]
        assert (steps.end, steps.milestones) == (length, expected)


@pytest.mark.parametrize(('length', 'peak'), [(8, 1), (20, 2), (100, 10), (600, 60)])
def test_a_trial_of_the_paper_s_run(length, peak):
    """The warm-up takes a tenth, the rest is the whole cosine."""
    found = rates(load('pretrain/poa_vit-l', train_cfg__max_iters=length))
    lrs, decays = zip(*found, strict=True)
    # A warm-up of one step has no room, and is left out.
    assert lrs.index(max(lrs)) == (peak - 1 if peak > 1 else 0)
    assert max(lrs) == pytest.approx(0.005)
    assert lrs[-1] < 0.005 * 0.06
    assert decays[0] == pytest.approx(0.04)
    assert 0.38 < decays[-1] < 0.4
    assert list(lrs[peak:]) == sorted(lrs[peak:], reverse=True)


def test_a_run_of_half_the_length_keeps_its_warm_up():
    cfg = load('pretrain/poa_vit-l', train_cfg__max_iters=138_400)
    warmup, cosine, decay = cfg.param_scheduler
    assert (warmup.get('begin'), warmup.end) == (0, 8000)
    assert (cosine.begin, cosine.end, cosine.T_max) == (8000, 138_400, 130_400)
    assert (decay.begin, decay.end, decay.T_max) == (0, 138_400, 138_400)
    hook = cfg.custom_hooks[0]
    assert hook.temp_warmup_epochs == hook.ibot_start_epoch == pytest.approx(17.3)  # of 173
    assert hook.freeze_last_layer_epochs == 1
    assert cfg.run_notes == [
        'train_cfg.max_iters is 138400 in place of 276800; schedules follow: LinearLR from 0 '
        'to 8000, CosineAnnealingLR from 8000 to 138400, CosineAnnealingWeightDecay from 0 to '
        '138400, POAHook.temp_warmup_epochs 17.3, POAHook.ibot_start_epoch 17.3'
    ]


def test_a_longer_run_keeps_all_warm_ups():
    cfg = load('pretrain/poa_vit-l', train_cfg__max_iters=2 * 276_800)
    whole = load('pretrain/poa_vit-l')
    assert cfg.param_scheduler[0] == whole.param_scheduler[0]
    assert cfg.custom_hooks == whole.custom_hooks
    assert (cfg.param_scheduler[1].end, cfg.param_scheduler[2].T_max) == (553_600, 553_600)


def test_the_part_of_a_cosine_stays():
    cfg = load('pretrain/poa_vit-l_official', train_cfg__max_iters=27_680)
    whole = load('pretrain/poa_vit-l_official')
    for own, other in zip(cfg.param_scheduler[1:], whole.param_scheduler[1:], strict=True):
        part = (own.end - own.begin) / own.T_max
        assert part == pytest.approx((other.end - other.begin) / other.T_max, rel=1e-3)
    assert cfg.custom_hooks[0].cosine_fraction == 0.78


def test_as_many_steps_of_two_batches():
    """On half as many GPUs: everything lasts twice as many iterations."""
    options = {'train_cfg__max_iters': 553_600, 'optim_wrapper__accumulative_counts': 2}
    cfg, whole = load('pretrain/poa_vit-l', **options), load('pretrain/poa_vit-l')
    for own, other in zip(cfg.param_scheduler, whole.param_scheduler, strict=True):
        assert (own.begin, own.end) == (2 * other.begin, 2 * other.end)
        assert own.get('T_max') == (2 * other.T_max if 'T_max' in other else None)
    assert cfg.custom_hooks[0] == {**whole.custom_hooks[0], 'epoch_length': 1600}


def test_a_detector_s_twelve_epochs():
    cfg = load('det/cascade_poa_vit-s', train_cfg__max_epochs=12)
    warmup, steps = cfg.param_scheduler
    assert warmup.end == 500  # iterations, which epochs do not change
    assert (steps.end, steps.milestones) == (12, [9, 11])


def test_segmentation_of_a_few_steps():
    found = [lr for lr, _ in rates(load('seg/upernet_poa_vit-s', train_cfg__max_iters=40))]
    assert found[0] == pytest.approx(6e-11)
    assert found[3] == pytest.approx(6e-5 * (1 - 3 / 39))  # both factors run from the start
    assert found[-1] == 0


def test_what_an_option_sets_stays():
    options = {
        'train_cfg__max_iters': 1750,
        'param_scheduler__0__end': 10,
        'param_scheduler__1__end': 1700,
        'custom_hooks__0__momentum': (0.9, 0.99),
    }
    cfg = load('pretrain/poa_vit-tiny_fashion-mnist', **options)
    assert [(s.begin, s.end) for s in cfg.param_scheduler] == [(0, 10), (100, 1700)]
    own = [{'type': 'ConstantLR', 'by_epoch': False}]
    cfg = load('pretrain/poa_vit-tiny_photos', train_cfg__max_iters=5, param_scheduler=own)
    assert cfg.param_scheduler == own
    cfg = load(
        'pretrain/poa_vit-l', train_cfg__max_iters=80, custom_hooks__0__ibot_start_epoch=0.05
    )
    assert cfg.custom_hooks[0].ibot_start_epoch == 0.05
    assert cfg.custom_hooks[0].temp_warmup_epochs == pytest.approx(0.01)


@pytest.mark.parametrize(
    'options', [{}, {'train_cfg.max_iters': 1000}, {'train_cfg.val_interval': 7}, None]
)
def test_a_run_of_the_same_length_is_the_config_s(options):
    cfg, whole = Config.fromfile(CONFIG), Config.fromfile(CONFIG)
    merge_options(cfg, options)
    whole.merge_from_dict(options or {})
    assert cfg.to_dict() == whole.to_dict()


SCHEDULES = [
    (
        {'type': 'OneCycleLR', 'eta_max': 0.1, 'total_steps': 100},
        {'type': 'OneCycleLR', 'eta_max': 0.1, 'total_steps': 50},
    ),
    (
        {'type': 'CosineRestartLR', 'periods': [20, 80], 'restart_weights': [1, 1], 'eta_min': 0},
        {'type': 'CosineRestartLR', 'periods': [10, 40], 'restart_weights': [1, 1], 'eta_min': 0},
    ),
    (
        {'type': 'StepLR', 'step_size': 30, 'end': 100},
        {'type': 'StepLR', 'step_size': 15, 'end': 50},
    ),
    (
        {'type': 'MultiStepLR', 'begin': 20, 'end': 100, 'milestones': [40, 60]},
        {'type': 'MultiStepLR', 'begin': 10, 'end': 50, 'milestones': [20, 30]},
    ),
    ({'type': 'PolyLR', 'end': 120}, {'type': 'PolyLR', 'end': 120}),  # beyond the run already
    ({'type': 'ReduceOnPlateauLR', 'monitor': 'x'}, {'type': 'ReduceOnPlateauLR', 'monitor': 'x'}),
]


@pytest.mark.parametrize(('before', 'after'), SCHEDULES)
@pytest.mark.parametrize('single', [True, False])
def test_other_schedules(before, after, single):
    scheduler = {**before, 'by_epoch': False}
    cfg = Config(
        {
            'train_cfg': {'type': 'IterBasedTrainLoop', 'max_iters': 100},
            'param_scheduler': scheduler if single else [scheduler],
        }
    )
    merge_options(cfg, {'train_cfg.max_iters': 50})
    expected = {**after, 'by_epoch': False}
    assert cfg.param_scheduler == (expected if single else [expected])


@pytest.mark.parametrize(
    ('end', 'epoch_length', 'kept'), [(0.2, 10, True), (0.2, 9, False), (1, 1, False), (1, 2, True)]
)
def test_a_warm_up_of_less_than_two_iterations_is_left_out(end, epoch_length, kept):
    """Its only value, the first one, would stay; of none mmengine would raise an error."""
    warmup = {'type': 'LinearLR', 'end': end, 'convert_to_iter_based': True}
    cosine = {'type': 'CosineAnnealingLR', 'begin': end, 'convert_to_iter_based': True}
    schedulers, short = without_short_warmups([warmup, cosine], epoch_length)
    assert schedulers == ([warmup, cosine] if kept else [cosine])
    assert short == ([] if kept else ['LinearLR'])


@pytest.mark.parametrize('other', [None, {'type': 'LinearLR', 'end': 0.1}, []])
def test_schedules_of_other_kinds_stay(other):
    assert without_short_warmups(other, 1) == (other, [])
