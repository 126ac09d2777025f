"""From options to a runner."""

import os
import socket

import pytest
import torch
import torch.multiprocessing
from mmengine.config import Config
from mmengine.model import MMDistributedDataParallel
from tiny_training import BATCH, LENGTH, Recorder, training_config

from poa_mm.engine import launch


@pytest.mark.parametrize(
    ('option', 'own', 'expected'),
    [
        (None, None, 'work_dirs/poa_vit-s'),
        (None, 'mine', 'mine'),
        ('there', 'mine', 'there'),
        ('there', None, 'there'),
    ],
)
def test_work_dir(option, own, expected):
    cfg = Config({} if own is None else {'work_dir': own})
    launch.set_work_dir(cfg, 'configs/pretrain/poa_vit-s.py', option)
    assert cfg.work_dir == expected


@pytest.fixture
def cfg(tmp_path):
    return Config({'work_dir': str(tmp_path), 'load_from': 'weights.pth', 'resume': False})


def test_a_new_run_keeps_the_weights_it_starts_from(cfg):
    launch.set_resume(cfg, None)
    assert cfg.load_from == 'weights.pth'
    assert cfg.resume is False


def test_a_new_run_does_not_write_over_an_old_one(cfg, tmp_path):
    (tmp_path / 'last_checkpoint').write_text('iter_3.pth')
    with pytest.raises(FileExistsError, match=f'{tmp_path} holds the checkpoints.*--resume'):
        launch.set_resume(cfg, None)


def test_resuming_from_a_file_or_from_the_latest(cfg, tmp_path):
    checkpoint = tmp_path / 'iter_3.pth'
    torch.save({}, checkpoint)
    (tmp_path / 'last_checkpoint').write_text(str(checkpoint))
    launch.set_resume(cfg, 'auto')
    assert (cfg.resume, cfg.load_from) == (True, None)
    launch.set_resume(cfg, str(checkpoint))
    assert (cfg.resume, cfg.load_from) == (True, str(checkpoint))


def test_resuming_from_no_file(cfg, tmp_path):
    with pytest.raises(FileNotFoundError, match=r'resume from at .*iter_9\.pth'):
        launch.set_resume(cfg, str(tmp_path / 'iter_9.pth'))


def test_resuming_from_an_empty_file(cfg, tmp_path):
    (tmp_path / 'iter_3.pth').touch()
    with pytest.raises(ValueError, match=r'iter_3\.pth is not a checkpoint'):
        launch.set_resume(cfg, str(tmp_path / 'iter_3.pth'))
    assert not cfg.get('resume')


def test_a_config_that_resumes(cfg, tmp_path):
    (tmp_path / 'last_checkpoint').write_text('iter_3.pth')
    cfg.resume = True
    launch.set_resume(cfg, None)
    assert cfg.resume is True


def test_mixed_precision(monkeypatch, tmp_path):
    cfg = training_config(tmp_path)
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    with pytest.raises(ValueError, match='--amp needs a GPU'):
        launch.set_amp(cfg)
    assert cfg.optim_wrapper.type == 'OptimWrapper'
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    launch.set_amp(cfg)
    assert (cfg.optim_wrapper.type, cfg.optim_wrapper.dtype) == ('AmpOptimWrapper', 'bfloat16')
    cfg.optim_wrapper.dtype = 'float16'
    launch.set_amp(cfg)
    assert cfg.optim_wrapper.dtype == 'float16'


@pytest.mark.parametrize('given', [{}, {'auto_scale_lr': {'enable': False}}])
def test_scaling_the_learning_rate_needs_a_base(given):
    with pytest.raises(ValueError, match=r'auto_scale_lr\.base_batch_size'):
        launch.set_auto_scale_lr(Config(given))


def test_scaling_the_learning_rate(tmp_path):
    cfg = training_config(tmp_path, auto_scale_lr={'enable': False, 'base_batch_size': 4 * BATCH})
    launch.set_auto_scale_lr(cfg)
    runner = launch.build_runner(cfg)
    runner.train()
    # A quarter of the batch, a quarter of the rate; the cosine over 8 steps is half way after 4.
    top = max(group['initial_lr'] for group in runner.optim_wrapper.optimizer.param_groups)
    assert top == pytest.approx(0.01 / 4)


def test_one_process_has_no_wrapper(tmp_path):
    runner = launch.build_runner(training_config(tmp_path, max_iters=1))
    runner.train()
    assert type(runner.model).__name__ == 'POA'
    assert not torch.distributed.is_initialized()


WORLD = 2


def train_rank(rank, port, folder, changes):
    torch.set_num_threads(1)
    names = ('RANK', 'LOCAL_RANK', 'WORLD_SIZE', 'MASTER_ADDR', 'MASTER_PORT')
    values = (rank, rank, WORLD, '127.0.0.1', port)
    os.environ.update({name: str(value) for name, value in zip(names, values, strict=True)})
    runner = launch.build_runner(training_config(folder, max_iters=5, **changes), 'pytorch')
    recorder = Recorder()
    runner.register_hook(recorder, priority='LOWEST')
    runner.train()
    assert isinstance(runner.model, MMDistributedDataParallel)
    speed, seconds = (
        runner.message_hub.get_scalar(f'train/{name}').data[0] for name in ('images_per_s', 'time')
    )
    result = {
        'state': runner.model.module.state_dict(),
        'temperatures': [row['teacher_temp'] for row in recorder.rows],
        'images': [float(a * b) for a, b in zip(speed, seconds, strict=True)],
        'losses': [row['loss'] for row in recorder.rows],
    }
    torch.save(result, f'{folder}/rank{rank}.pt')
    torch.distributed.destroy_process_group()


@pytest.fixture(scope='module')
def ranks(tmp_path_factory):
    """What two processes of a run started like torchrun's say, without a GPU."""
    folder = tmp_path_factory.mktemp('ranks')
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    changes = {'experiment_name': 'two ranks', 'find_unused_parameters': False}
    torch.multiprocessing.spawn(train_rank, (port, str(folder), changes), nprocs=WORLD)
    return [torch.load(folder / f'rank{rank}.pt') for rank in range(WORLD)]


@pytest.mark.skipif(torch.cuda.is_available(), reason='the launcher uses gloo without a GPU')
def test_ranks_hold_the_same_teacher_and_student(ranks):
    states = [rank['state'] for rank in ranks]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert ranks[0]['losses'] != ranks[1]['losses']  # of different images


@pytest.mark.skipif(torch.cuda.is_available(), reason='the launcher uses gloo without a GPU')
def test_the_speed_counts_the_images_of_all_ranks(ranks):
    for rank in ranks:
        assert rank['images'] == pytest.approx([WORLD * BATCH] * 5)


@pytest.mark.skipif(torch.cuda.is_available(), reason='the launcher uses gloo without a GPU')
def test_a_pass_over_the_data_is_shorter_on_several_ranks(ranks):
    iterations = LENGTH // BATCH // WORLD
    temperatures = [0.04 + 0.03 * min(step / iterations, 1) for step in range(5)]
    for rank in ranks:
        assert rank['temperatures'] == pytest.approx(temperatures)
