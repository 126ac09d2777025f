"""The k-NN monitor inside a real training run."""

import csv
import os
import random

import numpy as np
import pytest
import torch
from mmengine.dist import is_distributed
from ranks import run_distributed
from tiny.poa_runs import make_runner

from poa_mm.evaluation import KnnEvaluator, KnnMonitorHook

PIPELINE = [{'type': 'NumpyToPIL', 'to_rgb': True}, {'type': 'PackInputs', 'meta_keys': ()}]
PHOTOS = {
    'type': 'PhotoPatches',
    'patch_size': 16,
    'patches_per_photo': 4,
    'test_mode': True,
    'pipeline': PIPELINE,
}
DATA = {
    'knn_train_dataset': {**PHOTOS, 'split': 'train'},
    'knn_test_dataset': {**PHOTOS, 'split': 'test', 'patches_per_photo': 2},
    'data_preprocessor': {
        'type': 'SelfSupDataPreprocessor',
        'mean': [123.0] * 3,
        'std': [58.0] * 3,
    },
}
NAMES = ('smallest', 'w24-d3', 'largest')


def monitored(folder, subnets=NAMES, interval=2, **changes):
    if is_distributed():
        os.environ.setdefault('LOCAL_RANK', '0')
        wrapper = {'type': 'MMDistributedDataParallel', 'device_ids': None}
        changes = {**changes, 'launcher': 'pytorch', 'model_wrapper_cfg': wrapper}
    changes = {'model__backbone__drop_path_rate': 0.5, **DATA, **changes}
    runner, record = make_runner(folder, **changes)
    if subnets:
        hook = KnnMonitorHook(interval, subnets, num_workers=0)
        runner.register_hook(hook)
    runner.train()
    return runner, [row['loss'] for row in record.rows]


def rows(folder):
    with (folder / 'knn_curve.csv').open(newline='') as file:
        return [tuple(row.values()) for row in csv.DictReader(file)]


def test_the_curve_holds_what_the_evaluator_says_of_the_teacher(tmp_path):
    runner, _ = monitored(tmp_path, max_iters=3)
    table = rows(tmp_path)
    assert [(row[0], row[1]) for row in table] == [(i, n) for i in ('2', '3') for n in NAMES]
    teacher = runner.model.teacher.backbone
    evaluator = KnnEvaluator.from_config(runner.cfg, k=(20,), progress=False)
    subnets = [teacher.space.resolve(name) for name in NAMES]
    for row, (_, by_kind) in zip(table[3:], evaluator.evaluate(teacher, subnets), strict=True):
        assert row[2:] == ('20', f'{by_kind["cls"][20]:.3f}')
    assert (tmp_path / 'knn_curve.png').stat().st_size > 10_000
    (scalars,) = tmp_path.glob('*/vis_data/scalars.json')
    assert '"knn/w24-d3"' in scalars.read_text()


def test_training_is_what_it_is_without_the_hook(tmp_path):
    with_hook, losses = monitored(tmp_path / 'with', max_iters=4, interval=1)
    without, expected = monitored(tmp_path / 'without', None, max_iters=4)
    assert losses == expected
    for name, value in without.model.state_dict().items():
        assert torch.equal(with_hook.model.state_dict()[name], value), name


def state_of_training(model):
    return {
        'torch': torch.get_rng_state().tolist(),
        'numpy': np.random.get_state()[1].tolist(),  # noqa: NPY002  # what libraries draw from
        'python': random.getstate(),
        'modes': {name: module.training for name, module in model.named_modules()},
        'parameters': {n: (p.device, p.requires_grad) for n, p in model.named_parameters()},
        'gradients on': torch.is_grad_enabled(),
    }


def test_an_evaluation_leaves_generators_and_modes_alone(tmp_path):
    """StepSeedHook and the loop would hide from a training run that it does not."""
    runner, _ = make_runner(tmp_path, **DATA)
    hook = KnnMonitorHook(1, NAMES, num_workers=0)
    hook.before_train(runner)
    runner.model.train()
    before = state_of_training(runner.model)
    hook.after_train_iter(runner, 0)
    assert [row[0] for row in rows(tmp_path)] == ['1'] * 3
    assert state_of_training(runner.model) == before


def test_a_resumed_run_goes_on_with_the_curve(tmp_path):
    monitored(tmp_path, max_iters=4)  # its checkpoint is from iteration 3
    before = rows(tmp_path)
    resume = {'resume': True, 'load_from': str(tmp_path / 'iter_3.pth')}
    monitored(tmp_path, max_iters=6, **resume)
    after = rows(tmp_path)
    assert [row[0] for row in after] == ['2'] * 3 + ['4'] * 3 + ['6'] * 3
    assert after[:3] == before[:3]


def test_a_new_run_does_not_take_over_an_old_curve(tmp_path):
    (tmp_path / 'knn_curve.csv').write_text('iteration,subnet,k,accuracy\n1,smallest,20,99.0\n')
    monitored(tmp_path, max_iters=2)
    assert [row[0] for row in rows(tmp_path)] == ['2'] * 3


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ({'interval': 0}, 'interval must be at least 1, got 0'),
        ({'interval': 1, 'feature': 'max'}, "feature must be one of .*'cls'.*, got 'max'"),
        ({'interval': 1, 'subnets': 'vit-s'}, "subnets must be a list of names, got 'vit-s'"),
        ({'interval': 1, 'subnets': []}, 'subnets must be a list of names'),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        KnnMonitorHook(**arguments)


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'subnets': ['vit-x']}, "no sub-network 'vit-x'; valid: smallest"),
        ({'knn_test_dataset': None}, 'knn_test_dataset'),
    ],
)
def test_what_is_wrong_shows_before_training(tmp_path, changes, message):
    changes = {key: value for key, value in {**DATA, **changes}.items() if value is not None}
    subnets = changes.pop('subnets', NAMES)
    runner, record = make_runner(tmp_path, **changes)
    runner.register_hook(KnnMonitorHook(1, subnets))
    with pytest.raises(ValueError, match=message):
        runner.train()
    assert record.rows == []


def test_fewer_images_are_spread_over_the_classes(tmp_path):
    runner, _ = make_runner(tmp_path, **DATA)
    evaluator = KnnEvaluator.from_config(runner.cfg, max_train_images=40, progress=False)
    dataset = evaluator.train_loader.dataset
    labels = [dataset.get_data_info(index)['gt_label'] for index in range(len(dataset))]
    assert len(labels) == 40
    assert len(set(labels)) == 20


def curve_of_rank(rank, folder):
    runner, _ = monitored(folder, max_iters=2)
    (hook,) = (hook for hook in runner.hooks if isinstance(hook, KnnMonitorHook))
    return hook.rows, {k: v.clone() for k, v in runner.model.module.teacher.state_dict().items()}


@pytest.mark.slow
def test_two_ranks_share_the_sub_networks(tmp_path):
    (first, teacher), (second, _) = run_distributed(curve_of_rank, 2, str(tmp_path))
    assert first == second
    alone, _ = make_runner(tmp_path / 'alone', **DATA)
    alone.model.teacher.load_state_dict(teacher)
    evaluator = KnnEvaluator.from_config(alone.cfg, k=(20,), progress=False)
    backbone = alone.model.teacher.backbone
    subnets = [backbone.space.resolve(name) for name in NAMES]
    expected = [by_kind['cls'][20] for _, by_kind in evaluator.evaluate(backbone, subnets)]
    assert [row[3] for row in first] == pytest.approx(expected)
