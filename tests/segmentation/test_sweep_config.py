"""One run of many learning rates gives what a run of each gives."""

import copy
import re

import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict
from mmseg.evaluation import IoUMetric
from tiny.segmentation import CLASSES, draw, path_of, tiny_config

from poa_mm.engine import launch
from poa_mm.segmentation.head_iou import HeadIoUMetric
from poa_mm.segmentation.sweep_config import (
    METRICS,
    SweepResults,
    SweepRow,
    batch_note,
    head_checkpoint,
    sweep_config,
)

RATES = [3e-3, 0.1, 7e-4]
ITERS = 4


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return draw(tmp_path_factory.mktemp('data'))


@pytest.fixture
def config(folder, tmp_path):
    return tiny_config('linear_poa_vit-b', folder, tmp_path / 'run', ITERS)


@pytest.fixture(scope='module')
def shared_config(folder, tmp_path_factory):
    """One for runs that all tests compare with."""
    return tiny_config('linear_poa_vit-b', folder, tmp_path_factory.mktemp('shared') / 'run', ITERS)


def run_sweep(cfg, rates=RATES):
    """The finished runner and its results."""
    results = SweepResults(rates)
    runner = launch.build_runner(sweep_config(cfg, rates))
    runner.register_hook(results)
    runner.train()
    return runner, results


def run_alone(cfg, lr):
    cfg = copy.deepcopy(cfg)
    cfg.optim_wrapper.optimizer.lr = lr
    cfg.work_dir = f'{cfg.work_dir}_{lr:g}'
    runner = launch.build_runner(cfg)
    runner.train()
    return runner


def assert_same_weights(runner, index, alone):
    ours = head_checkpoint(runner.model, index, {})['state_dict']
    theirs = alone.model.state_dict()
    assert ours.keys() == theirs.keys()
    for name, value in theirs.items():
        assert torch.allclose(ours[name], value, rtol=1e-5, atol=1e-7), name


@pytest.fixture(scope='module')
def swept(shared_config):
    return run_sweep(shared_config)


@pytest.fixture(scope='module')
def alone(shared_config):
    """A run of tools/train.py for each rate."""
    return [run_alone(shared_config, lr) for lr in RATES]


def test_heads_end_where_runs_of_their_own_end(swept, alone):
    """Same weights after the same steps, same accuracies."""
    runner, results = swept
    assert [row.lr for row in results.rows] == RATES
    for index, (row, run) in enumerate(zip(results.rows, alone, strict=True)):
        assert_same_weights(runner, index, run)
        assert row.metrics == pytest.approx(run.val_loop.run())
    weights = [head.conv_seg.weight for head in runner.model.decode_head.heads]
    assert (weights[0] - weights[1]).abs().max() > 1e-2


def test_features_are_computed_once_a_step(config):
    runner = launch.build_runner(sweep_config(config, RATES))
    calls = []
    runner.model.backbone.register_forward_hook(
        lambda *_: calls.append(runner.model.decode_head.training)
    )
    runner.train()
    assert calls.count(True) == ITERS


def test_the_best_rate_has_the_highest_miou(swept):
    _, results = swept
    (best,) = [row for row in results.rows if row.best]
    assert best.metrics['mIoU'] == max(row.metrics['mIoU'] for row in results.rows)
    assert set(best.metrics) == set(METRICS)


def test_a_checkpoint_of_a_head_is_one_of_the_linear_config(config, swept, tmp_path):
    runner, results = swept
    path = tmp_path / 'head.pth'
    torch.save(head_checkpoint(runner.model, 1, {'lr': RATES[1]}), path)
    config.load_from = str(path)
    assert launch.build_runner(config).test() == pytest.approx(results.rows[1].metrics)


@pytest.mark.parametrize(('workers', 'rates'), [(0, RATES), (2, RATES[:1])])
def test_a_sweep_goes_on_where_it_stopped(config, alone, tmp_path, workers, rates):
    """At the weights of runs of tools/train.py that have not stopped, crops and all."""
    config.train_dataloader.num_workers = workers
    config.default_hooks.checkpoint.interval = ITERS // 2
    run_sweep(config)
    resumed = copy.deepcopy(config)
    resumed.load_from, resumed.resume = str(path_of(config.work_dir, ITERS // 2)), True
    resumed.work_dir = str(tmp_path / 'resumed')
    runner, _ = run_sweep(resumed)
    assert runner.iter == ITERS
    for index, lr in enumerate(rates):
        assert_same_weights(runner, index, run_alone(config, lr) if workers else alone[index])


@pytest.mark.parametrize('schedule', [True, False])
def test_a_sweep_over_other_rates_is_not_resumed(config, schedule):
    if not schedule:
        config.param_scheduler = None
    run_sweep(config)
    config.load_from, config.resume = str(path_of(config.work_dir, ITERS)), True
    others = ([0.1, 3e-3, 7e-4], RATES[:2], [*RATES, 1.0])
    for rates in others if schedule else others[:1]:
        message = re.escape(f'sweeps over {RATES}, not over {rates}')
        with pytest.raises(ValueError, match=message):
            run_sweep(config, rates)


def test_a_sweep_may_start_from_other_weights(config, shared_config, swept):
    config.load_from = str(path_of(shared_config.work_dir, ITERS))
    _, results = run_sweep(config, RATES[1:])
    assert [row.lr for row in results.rows] == RATES[1:]


@pytest.mark.parametrize('rates', [[], [0.0], [-1e-3], [float('nan')], [float('inf')], [0.1, 0.1]])
def test_wrong_rates_are_refused(config, rates):
    with pytest.raises(ValueError, match='learning rates must be positive and all different'):
        sweep_config(config, rates)


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'model': None}, 'needs a linear config; this one has no model'),
        ({'val_cfg': None, 'val_evaluator': None}, 'this one has no val_cfg, val_evaluator'),
        ({'model.type': 'EncoderDecoder'}, 'needs a FrozenEncoderDecoder, the config has Enc'),
        ({'model.neck': {'type': 'FPN'}}, 'take out model.neck'),
        ({'model.auxiliary_head': {'type': 'FCNHead'}}, 'take out model.auxiliary_head'),
        ({'optim_wrapper.clip_grad': {'max_norm': 1}}, 'take out optim_wrapper.clip_grad'),
        ({'optim_wrapper.paramwise_cfg': {'norm_decay_mult': 0}}, 'optim_wrapper.paramwise_cfg'),
        ({'optim_wrapper.constructor': 'LayerDecayConstructor'}, 'has LayerDecayConstructor'),
        (
            {'model.decode_head.dropout_ratio': 0.1},
            'needs model.decode_head.dropout_ratio=0, got 0',
        ),
        ({'model.decode_head': {'type': 'FCNHead'}}, 'decode_head.dropout_ratio=0, got 0.1'),
        (
            {'optim_wrapper.type': 'AmpOptimWrapper', 'optim_wrapper.dtype': 'float16'},
            "needs optim_wrapper.dtype='bfloat16', the config has float16: with float16 all",
        ),
        ({'optim_wrapper.type': 'AmpOptimWrapper'}, "dtype='bfloat16', the config has None"),
        ({'optim_wrapper.type': 'GuardedOptimWrapper'}, 'has GuardedOptimWrapper, which may skip'),
        ({'optim_wrapper.type': 'GuardedAmpOptimWrapper'}, 'the config has GuardedAmpOptimWrap'),
        ({'custom_hooks': [ConfigDict(type='EMAHook')]}, 'take EMAHook out of custom_hooks'),
        ({'auto_scale_lr.enable': True}, 'rates as they are given: take out auto_scale_lr.enable'),
        ({'val_evaluator': {'type': 'DepthMetric'}}, 'needs an IoUMetric as val_evaluator'),
        ({'val_evaluator': [{'type': 'IoUMetric'}]}, 'needs an IoUMetric as val_evaluator'),
    ],
)
def test_configs_whose_heads_would_notice_one_another_are_refused(config, changes, message):
    for key, value in changes.items():  # merging would keep what is there
        *parents, last = key.split('.')
        target = config
        for parent in parents:
            target = target[parent]
        target[last] = value
    with pytest.raises(ValueError, match=message):
        sweep_config(config, RATES)


def test_bfloat16_goes_without_a_loss_scale(config):
    """Its finiteness test would let one diverging head stop all others."""
    config.optim_wrapper.update(type='AmpOptimWrapper', dtype='bfloat16')
    wrapper = sweep_config(config, RATES).optim_wrapper
    assert (wrapper.type, wrapper.dtype) == ('AmpOptimWrapper', 'bfloat16')
    assert not torch.amp.GradScaler(**wrapper.loss_scale).is_enabled()


def test_a_head_that_diverges_leaves_the_others_alone(config):
    _, results = run_sweep(config)
    config.work_dir += '_diverging'
    diverging, with_it = run_sweep(config, [*RATES, 1e30])
    assert not diverging.model.decode_head.heads[-1].conv_seg.weight.isfinite().all()
    assert [row.metrics for row in with_it.rows[:-1]] == [row.metrics for row in results.rows]


@pytest.mark.parametrize(('world_size', 'accumulated'), [(8, None), (4, 2)])
def test_the_batch_that_the_config_is_made_for(config, world_size, accumulated):
    if accumulated:
        config.optim_wrapper.accumulative_counts = accumulated
    assert batch_note(config, world_size) is None


def test_another_batch_is_noted(config):
    assert batch_note(config, 1).startswith(
        'a step sees 2 images (2 × 1 processes × 1 accumulated), the config is made for 16: '
    )
    config.auto_scale_lr = None
    assert batch_note(config, 1) is None


def test_the_config_itself_is_not_changed(config):
    before = config.to_dict()
    sweep_config(config, RATES)
    assert config.to_dict() == before


def test_metric_of_a_head_is_mmseg_s():
    generator = np.random.default_rng(0)
    theirs, ours = IoUMetric(), HeadIoUMetric(head=1)
    for metric in (theirs, ours):
        metric.dataset_meta = {'classes': CLASSES}
    for _ in range(3):
        truth, wrong, right = (
            {'data': torch.from_numpy(generator.integers(0, 4, (1, 6, 5)))} for _ in range(3)
        )
        truth['data'][0, 0] = 255
        sample = {'gt_sem_seg': truth, 'pred_head_0': wrong, 'pred_head_1': right}
        ours.process({}, [sample])
        theirs.process({}, [{**sample, 'pred_sem_seg': right}])
    assert ours.evaluate(3) == theirs.evaluate(3)


def test_cells_of_a_row():
    row = SweepRow(7e-4, {'mIoU': 40.3, 'aAcc': 80.0, 'mAcc': 50.125}, best=True)
    assert row.cells() == {
        'lr': '0.0007',
        'mIoU': '40.30',
        'aAcc': '80.00',
        'mAcc': '50.12',
        'best': 1,
    }
