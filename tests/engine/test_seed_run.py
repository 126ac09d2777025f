"""Runs of SEED: what they resume from, and how tools open their checkpoints."""

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from tiny.checkpoints import save_supernet
from tiny.networks import VIT
from tiny.poa_runs import training_config

import poa_mm
from poa_mm.evaluation import open_measured

HOOKS = [{'type': 'StepSeedHook'}, {'type': 'SupernetInfoHook'}, {'type': 'ThroughputHook'}]


class Losses(Hook):
    def __init__(self):
        self.values = []

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.values.append({name: value.item() for name, value in outputs.items()})


def run(folder, teacher, **changes):
    """A finished run of five steps, and what it logged."""
    cfg = training_config(folder, max_iters=5, custom_hooks=HOOKS, **changes)
    cfg.model = {
        'type': 'SEED',
        'backbone': {**VIT, 'widths': [16], 'depths': [3], 'drop_path_rate': 0.5}
        | {'arch': {**VIT['arch'], 'embed_dims': 16}},
        'teacher': {'type': 'FrozenTeacher', 'checkpoint': f'subnet://w24-d3@{teacher}'},
        'queue_size': 10,
    }
    runner, losses = Runner.from_cfg(cfg), Losses()
    runner.register_hook(losses, priority='LOWEST')
    runner.train()
    return runner, losses.values


@pytest.fixture(scope='module')
def runs(tmp_path_factory):
    """A whole run, and one resumed from its third step."""
    folder = tmp_path_factory.mktemp('seed')
    teacher = folder / 'teacher.pth'
    save_supernet(teacher)
    whole = run(folder / 'whole', teacher)
    path = folder / 'whole' / 'iter_3.pth'
    return whole, run(folder / 'rest', teacher, resume=True, load_from=str(path)), path


def test_losses_weights_and_queue_go_on_to_the_bit(runs):
    (whole, losses), (rest, resumed), _ = runs
    assert len(losses) == 5
    assert resumed == losses[3:]
    assert int(whole.model.queue.pointer) == 5 * 4 % 10
    for name, value in whole.model.state_dict().items():
        assert torch.equal(rest.model.state_dict()[name], value), name


def test_a_checkpoint_holds_the_student_alone(runs):
    *_, path = runs
    content = torch.load(path, weights_only=False)
    assert {name.split('.')[0] for name in content['state_dict']} == {'backbone', 'head', 'queue'}
    backbone = poa_mm.load_supernet(path)
    assert backbone.branch == 'student'
    for name, value in backbone.state_dict().items():
        assert torch.equal(value, content['state_dict'][f'backbone.{name}'])
    assert open_measured(path).branch == 'student'
    assert torch.equal(poa_mm.load_supernet(path, 'student').cls_token, backbone.cls_token)


def test_a_teacher_that_is_asked_for_is_not_there(runs):
    with pytest.raises(ValueError, match=r'holds no teacher, only the student.*--branch teacher'):
        poa_mm.load_supernet(runs[-1], 'teacher')
