"""POA's hooks inside a real runner."""

import math

import pytest
import torch
from mmengine.hooks import Hook
from tiny_training import BATCH, LENGTH, make_runner

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
