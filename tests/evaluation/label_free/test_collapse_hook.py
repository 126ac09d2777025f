"""Collapse in training runs: named with the remedy, and only when there is one."""

import logging

import pytest
import torch
from mmengine.hooks import Hook
from tiny.poa_runs import POA_HOOK, make_runner

from poa_mm.evaluation import CollapseHook

EPOCH = 6  # iterations: 12 images, two at a time


class Prepare(Hook):
    """Changes a model that has been initialised."""

    def __init__(self, prepare):
        self.prepare = prepare

    def before_train(self, runner):
        self.prepare(runner.model)


def train(folder, hook=None, prepare=None, **changes):
    """A run, what its losses were, and what it has warned of."""
    runner, record = make_runner(folder, **changes)
    warnings = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda entry: warnings.append(entry.getMessage())
    runner.logger.addHandler(handler)
    level = runner.logger.level
    runner.logger.setLevel(logging.WARNING)
    if hook is not None:
        runner.register_hook(hook)
    if prepare:
        runner.register_hook(Prepare(prepare))
    try:
        runner.train()
    finally:
        runner.logger.removeHandler(handler)
        runner.logger.setLevel(level)
    return runner, record, [text for text in warnings if 'collapse' in text or 'longer' in text]


def hooks(**poa):
    return [{**POA_HOOK, **poa}, {'type': 'StepSeedHook'}]


def constant_teacher(model):
    """All images get the same class token."""
    norm = model.teacher.backbone.ln1
    norm.weight.data.zero_()
    norm.bias.data.fill_(0.5)


def test_a_healthy_run_is_not_called_collapsed(tmp_path):
    changes = {'custom_hooks': hooks(teacher_temp=(0.01, 0.01)), 'max_iters': 2 * EPOCH}
    runner, _, warnings = train(tmp_path, CollapseHook(), **changes)
    assert warnings == []
    for name in ('rankme', 'target_entropy', 'prototypes_in_use'):
        values = runner.message_hub.get_scalar(f'train/{name}').data[0]
        assert len(values) == 2 * EPOCH  # a quarter of an epoch, rounded down: every iteration
    (scalars,) = tmp_path.glob('*/vis_data/scalars.json')
    assert '"target_entropy": 0.' in scalars.read_text()


def test_images_that_look_alike_are_named_within_an_epoch(tmp_path):
    changes = {'custom_hooks': hooks(momentum=(1.0, 1.0))}
    *_, warnings = train(tmp_path, CollapseHook(), constant_teacher, max_iters=EPOCH, **changes)
    alike, uniform = (next(w for w in warnings if word in w) for word in ('alike', 'uniform'))
    assert 'collapse at iteration 3' in alike
    assert 'RankMe of its class tokens is 1.00' in alike
    assert 'a lower learning rate (optim_wrapper.optimizer.lr)' in alike
    assert 'lower the teacher_temp of POAHook' in uniform


@pytest.mark.parametrize('centering', ['sinkhorn_knopp', 'centering'])
def test_a_wrong_temperature_is_named_within_an_epoch(tmp_path, centering):
    *_, warnings = train(
        tmp_path,
        CollapseHook(),
        max_iters=EPOCH,
        custom_hooks=hooks(teacher_temp=(3.0, 3.0)),
        model__centering=centering,
    )
    assert 'targets are uniform' in warnings[0]
    assert (
        'lower the teacher_temp of POAHook, now 3 (0.04 to 0.07 are usual, and less than the '
        "students' 0.1)" in warnings[0]
    )


def test_training_is_what_it_is_without_the_hook(tmp_path):
    changes = {'model__backbone__drop_path_rate': 0.5, 'max_iters': 5}
    with_hook, record, _ = train(tmp_path / 'with', CollapseHook(interval=2), **changes)
    without, expected, _ = train(tmp_path / 'without', **changes)
    assert record.rows == expected.rows
    for name, value in without.model.state_dict().items():
        assert torch.equal(with_hook.model.state_dict()[name], value), name
    assert with_hook.model.watch is None


def test_the_teacher_is_watched_only_before_a_check(tmp_path):
    hook = CollapseHook(interval=5, batches=2)
    runner, _ = make_runner(tmp_path)
    hook.before_train(runner)
    watched = []
    for runner.train_loop._iter in range(10):
        hook.before_train_iter(runner, 0)
        watched.append(runner.model.watch is not None)
    assert watched == [False, False, False, True, True] * 2


def test_a_collapse_is_told_again_after_twice_as_long(tmp_path):
    *_, warnings = train(
        tmp_path,
        CollapseHook(interval=1, patience=1),
        max_iters=9,
        custom_hooks=hooks(teacher_temp=(3.0, 3.0)),
    )
    iterations = [text.split(':')[0] for text in warnings if 'uniform' in text]
    assert iterations == [f'collapse at iteration {number}' for number in (1, 2, 4, 8)]


def test_an_end_of_the_collapse_is_told(tmp_path):
    *_, warnings = train(
        tmp_path,
        CollapseHook(interval=1, patience=1),
        max_iters=9,
        custom_hooks=hooks(teacher_temp=(3.0, 0.01), temp_warmup_epochs=0.5),
    )
    assert 'uniform' in warnings[0]
    assert 'no longer uniform' in warnings[-1]


@pytest.mark.parametrize('name', ['interval', 'batches', 'patience'])
def test_wrong_arguments(name):
    with pytest.raises(ValueError, match=f'{name} of CollapseHook must be at least 1, got 0'):
        CollapseHook(**{name: 0})
