"""POA's hooks inside a real runner."""

import copy
import math
import re

import pytest
import torch
from mmengine.hooks import Hook
from tiny.poa_runs import BATCH, LENGTH, POA_HOOK, make_runner

from poa_mm.engine import POAHook, SupernetInfoHook

PASS = LENGTH // BATCH  # iterations of one pass over the data


def cosine_by_hand(start, end, progress):
    return end + (start - end) * (1 + math.cos(math.pi * progress)) / 2


def student(model):
    return [p.detach().clone() for p in (*model.backbone.parameters(), *model.head.parameters())]


def teacher(model):
    return [p.clone() for p in model.teacher.parameters()]


class Spy(Hook):
    """Keeps the student at the start, and what surrounds each update of the teacher."""

    def __init__(self):
        self.updates = []

    def before_train(self, runner):
        model = runner.model
        self.start = student(model)
        update = model.update_teacher

        def watched(momentum):
            before = teacher(model)
            update(momentum)
            row = (runner.iter, momentum, student(model), before, teacher(model))
            self.updates.append(row)

        model.update_teacher = watched


def spied_run(*args, **kwargs):
    runner, _ = make_runner(*args, **kwargs)
    spy = Spy()
    runner.register_hook(spy)
    runner.train()
    return runner, spy


def test_the_teacher_follows_the_student_that_the_optimiser_left(tmp_path):
    runner, spy = spied_run(tmp_path, max_iters=5)
    assert [iteration for iteration, *_ in spy.updates] == list(range(5))
    momenta = [momentum for _, momentum, *_ in spy.updates]
    assert momenta == pytest.approx([cosine_by_hand(0.5, 0.9, step / 5) for step in range(5)])
    followed = spy.start
    for _, momentum, now, before, after in spy.updates:
        assert all(map(torch.equal, before, followed))
        for new, old, value in zip(after, before, now, strict=True):
            torch.testing.assert_close(new, momentum * old + (1 - momentum) * value)
        followed = after
    # At the first update the student has left its start, at the last it has reached its end.
    assert not any(map(torch.equal, spy.updates[0][2], spy.start))
    assert all(map(torch.equal, spy.updates[-1][2], student(runner.model)))
    assert all(map(torch.equal, followed, teacher(runner.model)))


def test_gradient_accumulation_updates_once_for_each_effective_batch(tmp_path):
    _, spy = spied_run(tmp_path, max_iters=5, optim_wrapper__accumulative_counts=2)
    # mmengine steps after iterations 1 and 3, and once more for the incomplete rest.
    assert [iteration for iteration, *_ in spy.updates] == [1, 3, 4]
    momenta = [cosine_by_hand(0.5, 0.9, step / 5) for step in (1, 3, 4)]
    assert [momentum for _, momentum, *_ in spy.updates] == pytest.approx(momenta)


class Seen(Hook):
    """Keeps the global views of every batch."""

    def __init__(self):
        self.views = []

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.views += data_batch['inputs'][:2]


@pytest.mark.parametrize(('batch', 'accumulated'), [(4, 1), (2, 2), (1, 4)])
def test_centers_move_once_for_each_effective_batch(batch, accumulated, tmp_path):
    """c = 0.1 · mean logit of the same four images after the first step, however they come."""
    runner, _ = make_runner(
        tmp_path,
        max_iters=accumulated,
        model__centering='centering',
        model__koleo_weight=0.0,
        train_dataloader__batch_size=batch,
        optim_wrapper__accumulative_counts=accumulated,
    )
    runner.model.init_weights()
    fresh = copy.deepcopy(runner.model.teacher)
    seen = Seen()
    runner.register_hook(seen)
    runner.train()
    images = torch.cat(seen.views)
    assert len(images) == 8
    with torch.no_grad():
        logits = fresh.head(fresh.backbone.tokens(images)[0])
    for head, rows in enumerate(logits):
        found = runner.model.centering.get_buffer(f'center_class_{head}')
        torch.testing.assert_close(found, 0.1 * rows.mean(dim=0), rtol=1e-4, atol=1e-7)


def test_step_and_temperature_follow_the_iteration(tmp_path):
    runner, recorder = make_runner(tmp_path, max_iters=PASS + 2)
    runner.train()
    temperatures = [0.04 + 0.03 * min(step / PASS, 1) for step in range(PASS + 2)]
    assert [row['teacher_temp'] for row in recorder.rows] == pytest.approx(temperatures)
    # ``loss`` has counted on to the number of the next step.
    assert [row['step'] for row in recorder.rows] == [row['iter'] + 1 for row in recorder.rows]


def test_epoch_based_runs_count_the_same_way(tmp_path):
    runner, recorder = make_runner(
        tmp_path,
        train_cfg={'type': 'EpochBasedTrainLoop', 'max_epochs': 2, '_delete_': True},
        train_dataloader__sampler={'type': 'DefaultSampler', 'shuffle': True, '_delete_': True},
        default_hooks__checkpoint={'type': 'CheckpointHook', 'interval': 5, '_delete_': True},
        log_processor__by_epoch=True,
    )
    runner.train()
    temperatures = [0.04 + 0.03 * min(step / PASS, 1) for step in range(2 * PASS)]
    assert [row['teacher_temp'] for row in recorder.rows] == pytest.approx(temperatures)
    momenta = runner.message_hub.get_scalar('train/momentum').data[0]
    expected = [cosine_by_hand(0.5, 0.9, step / (2 * PASS)) for step in range(2 * PASS)]
    assert list(momenta) == pytest.approx(expected)


def test_the_log_holds_schedules_terms_and_speed(tmp_path):
    runner, recorder = make_runner(tmp_path, max_iters=4)
    runner.train()
    logged = {
        key.removeprefix('train/'): list(buffer.data[0])
        for key, buffer in runner.message_hub.log_scalars.items()
        if key.startswith('train/')
    }
    for name in ('teacher_temp', 'loss', 'intact_global', 'elastic_local', 'same_view_global'):
        assert logged[name] == pytest.approx([row[name] for row in recorder.rows], rel=1e-5)
    assert logged['images_per_s'] == pytest.approx([BATCH / seconds for seconds in logged['time']])
    waits = [w / t for w, t in zip(logged['data_time'], logged['time'], strict=True)]
    assert logged['data_wait'] == pytest.approx(waits)
    assert all(0 <= wait <= 1 for wait in waits)
    assert logged['weight_decay'] == [0.04] * 4


class States(Hook):
    """Keeps what a step was told, and the student it left."""

    def __init__(self):
        self.rows = []

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        wrapper = runner.optim_wrapper
        frozen = sorted(wrapper.frozen) if hasattr(wrapper, 'frozen') else None
        self.rows.append({'ibot': runner.model.ibot_active, 'frozen': frozen})
        self.rows[-1]['before'] = named(runner.model)

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.rows[-1]['after'] = named(runner.model)


def named(model):
    return {
        name: parameter.detach().clone()
        for name, parameter in model.named_parameters()
        if not name.startswith('teacher.')
    }


def stated_run(tmp_path, guarded=True, **hook):
    changes = {'optim_wrapper__type': 'GuardedOptimWrapper'} if guarded else {}
    runner, _ = make_runner(tmp_path, custom_hooks=[{**POA_HOOK, **hook}], **changes)
    states = States()
    runner.register_hook(states, priority='LOW')
    return runner, states


def still(row):
    """Which of backbone, prototypes and the rest of the heads have not moved, if all of one kind.

    The mask token is left out: it stands still where no patch is masked.
    """
    kinds = {'backbone': [], 'prototypes': [], 'mlp': []}
    for name, value in row['before'].items():
        if name != 'backbone.mask_token':
            kind = next(kind for kind in kinds if kind in name)
            kinds[kind].append(torch.equal(value, row['after'][name]))
    assert all(len(set(equal)) == 1 for equal in kinds.values())
    return {kind for kind, equal in kinds.items() if equal[0]}


def test_patches_are_masked_from_an_epoch_on(tmp_path):
    runner, states = stated_run(tmp_path, ibot_start_epoch=1.5, epoch_length=2)
    runner.train()
    assert [row['ibot'] for row in states.rows] == [False, False, False, True]


def test_a_pass_over_the_data_is_an_epoch(tmp_path):
    runner, states = stated_run(tmp_path, ibot_start_epoch=0.5)
    runner.train()
    assert [row['ibot'] for row in states.rows] == [i >= PASS / 2 for i in range(4)]


def test_last_layers_and_backbone_keep_still_at_first(tmp_path):
    runner, states = stated_run(
        tmp_path, freeze_last_layer_epochs=1, head_warmup_epochs=1.5, epoch_length=2
    )
    runner.train()
    frozen = [['backbone', 'last_layer']] * 2 + [['backbone'], []]
    assert [row['frozen'] for row in states.rows] == frozen
    assert [still(row) for row in states.rows] == [
        {'backbone', 'prototypes'},
        {'backbone', 'prototypes'},
        {'backbone'},
        set(),
    ]


def test_last_layers_keep_still_for_an_epoch_unless_told_otherwise(tmp_path):
    runner, _ = make_runner(
        tmp_path,
        custom_hooks=[{'type': 'POAHook', 'epoch_length': 1}],
        optim_wrapper__type='GuardedOptimWrapper',
    )
    states = States()
    runner.register_hook(states, priority='LOW')
    runner.train()
    assert [row['frozen'] for row in states.rows] == [['last_layer'], [], [], []]


@pytest.mark.parametrize('option', ['freeze_last_layer_epochs', 'head_warmup_epochs'])
def test_freezing_needs_a_wrapper_that_can(tmp_path, option):
    runner, _ = stated_run(tmp_path, guarded=False, **{option: 0.1})
    with pytest.raises(ValueError, match=f'{option}.*GuardedOptimWrapper.*got OptimWrapper; set'):
        runner.train()


def test_nothing_to_freeze_works_with_any_wrapper(tmp_path):
    runner, states = stated_run(tmp_path, guarded=False)
    runner.train()
    assert [still(row) for row in states.rows] == [set()] * 4


def test_a_part_of_the_cosine(tmp_path):
    runner, _ = stated_run(tmp_path, cosine_fraction=0.8)
    runner.train()
    momenta = runner.message_hub.get_scalar('train/momentum').data[0]
    expected = [cosine_by_hand(0.5, 0.9, 0.8 * step / 4) for step in range(4)]
    assert list(momenta) == pytest.approx(expected)


@pytest.mark.parametrize(
    ('option', 'value'),
    [
        ('ibot_start_epoch', -1),
        ('temp_warmup_epochs', -0.5),
        ('freeze_last_layer_epochs', -1),
        ('head_warmup_epochs', -1),
        ('cosine_fraction', 0),
        ('cosine_fraction', 1.1),
        ('epoch_length', 0),
        ('momentum', 0.99),
        ('momentum', (0.99, 1.5)),
        ('momentum', [-0.1, 0.5]),
        ('teacher_temp', (0, 0.07)),
        ('teacher_temp', (0.04, 0.05, 0.07)),
    ],
)
def test_wrong_options_of_poa_hook(option, value):
    with pytest.raises(ValueError, match=f'{option} .*must .*got {re.escape(str(value))}'):
        POAHook(**{option: value})


class Poison(Hook):
    """Makes the images of some iterations NaN."""

    priority = 'VERY_HIGH'

    def __init__(self, iterations):
        self.iterations = iterations

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter in self.iterations:
            data_batch['inputs'][0].fill_(math.nan)


def test_the_teacher_stays_where_it_is_when_a_step_is_skipped(tmp_path):
    runner, _ = make_runner(tmp_path, max_iters=5, optim_wrapper__type='GuardedOptimWrapper')
    spy = Spy()
    runner.register_hook(spy)
    runner.register_hook(Poison({1, 2}))
    runner.train()
    assert [iteration for iteration, *_ in spy.updates] == [0, 3, 4]
    momenta = [cosine_by_hand(0.5, 0.9, step / 5) for step in (0, 3, 4)]
    assert [momentum for _, momentum, *_ in spy.updates] == pytest.approx(momenta)
    assert all(map(torch.equal, spy.updates[0][4], spy.updates[1][3]))
    assert all(value.isfinite().all() for value in runner.model.state_dict().values())


def test_poa_hook_is_for_poa(tmp_path):
    runner, _ = make_runner(tmp_path, max_iters=1)
    runner.model = torch.nn.Linear(2, 2)
    with pytest.raises(TypeError, match='POAHook works on POA, not on Linear'):
        POAHook().before_train_iter(runner, 0)


def test_supernet_info_is_for_poa(tmp_path):
    runner, _ = make_runner(tmp_path, max_iters=1)
    runner.model = torch.nn.Linear(2, 2)
    with pytest.raises(TypeError, match=r'POA.*Linear'):
        SupernetInfoHook().before_save_checkpoint(runner, {})
