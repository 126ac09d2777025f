"""From options to a runner."""

import logging
import os
import socket
import types

import pytest
import torch
from helpers import ROOT
from mmengine.config import Config
from mmengine.model import MMDistributedDataParallel
from ranks import run_distributed, start_ranks
from tiny.poa_runs import BATCH, LENGTH, Recorder, training_config

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


@pytest.mark.parametrize(
    ('plain', 'mixed'),
    [
        ('OptimWrapper', 'AmpOptimWrapper'),
        ('GuardedOptimWrapper', 'GuardedAmpOptimWrapper'),
        (None, 'AmpOptimWrapper'),
    ],
)
def test_mixed_precision(monkeypatch, tmp_path, plain, mixed):
    cfg = training_config(tmp_path)
    del cfg.optim_wrapper.type
    if plain is not None:
        cfg.optim_wrapper.type = plain
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    with pytest.raises(ValueError, match='--amp needs a GPU'):
        launch.set_amp(cfg)
    assert cfg.optim_wrapper.get('type') == plain
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    launch.set_amp(cfg)
    assert (cfg.optim_wrapper.type, cfg.optim_wrapper.dtype) == (mixed, 'bfloat16')
    cfg.optim_wrapper.dtype = 'float16'
    launch.set_amp(cfg)
    assert (cfg.optim_wrapper.type, cfg.optim_wrapper.dtype) == (mixed, 'float16')


def test_mixed_precision_of_an_unknown_wrapper(monkeypatch, tmp_path):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    cfg = training_config(tmp_path, optim_wrapper__type='ApexOptimWrapper')
    with pytest.raises(ValueError, match=r'types OptimWrapper, Guarded.*, not with ApexOptim'):
        launch.set_amp(cfg)


def logs(work_dir):
    return ''.join(path.read_text() for path in work_dir.rglob('*.log'))


@pytest.mark.skipif(torch.cuda.is_available(), reason='there is a GPU')
@pytest.mark.parametrize(
    ('mixed', 'plain'),
    [('AmpOptimWrapper', 'OptimWrapper'), ('GuardedAmpOptimWrapper', 'GuardedOptimWrapper')],
)
def test_without_a_gpu_mixed_precision_becomes_float32(tmp_path, mixed, plain):
    wrapper = {'type': mixed, 'dtype': 'bfloat16', 'loss_scale': 'dynamic'}
    cfg = training_config(tmp_path, max_iters=1, log_level='INFO')
    cfg.optim_wrapper.update(wrapper)
    runner = launch.build_runner(cfg)
    runner.train()
    assert type(runner.optim_wrapper).__name__ == plain
    lines = [line for line in logs(tmp_path).splitlines() if 'no GPU' in line]
    assert len(lines) == 1
    assert lines[0].endswith(f'WARNING - no GPU: {plain} in float32 in place of {mixed}')


@pytest.mark.parametrize(
    'given', [{}, {'auto_scale_lr': None}, {'auto_scale_lr': {'enable': False}}]
)
def test_scaling_the_learning_rate_needs_a_base(given):
    with pytest.raises(ValueError, match=r'auto_scale_lr\.base_batch_size'):
        launch.set_auto_scale_lr(Config(given))


@pytest.mark.parametrize('schedule', ['det/schedule_3x.py', 'seg/schedule_160k.py'])
def test_downstream_configs_scale_with_our_tools_and_the_libraries_own(schedule):
    """mmdet's and mmseg's ask for both keys, and mmengine would scale a config that enables."""
    cfg = Config.fromfile(ROOT / 'configs' / '_base_' / schedule)
    assert cfg.auto_scale_lr == {'enable': False, 'base_batch_size': 16}
    launch.set_auto_scale_lr(cfg)
    assert cfg.auto_scale_lr.enable is True


@pytest.mark.parametrize('flag', [True, False])
def test_an_unknown_rule_of_scaling(tmp_path, flag):
    scaling = {'enable': not flag, 'base_batch_size': 8, 'rule': 'cubic'}
    cfg = training_config(tmp_path, auto_scale_lr=scaling)
    with pytest.raises(ValueError, match=r"one of \('sqrt', 'linear'\), got 'cubic'"):
        (launch.set_auto_scale_lr if flag else launch.build_runner)(cfg)


def top_lr(runner):
    return max(group['initial_lr'] for group in runner.optim_wrapper.optimizer.param_groups)


# One sixteenth of the batch, and twice that with two accumulated: 2 of 32 and 4 of 32 images.
@pytest.mark.parametrize(
    ('rule', 'accumulated', 'factor'),
    [
        ('sqrt', 1, 1 / 4),
        ('linear', 1, 1 / 16),
        (None, 1, 1 / 16),
        ('linear', 2, 1 / 8),
        ('sqrt', 2, 8**-0.5),
    ],
)
def test_scaling_the_learning_rate(tmp_path, rule, accumulated, factor):
    scaling = {'enable': False, 'base_batch_size': 16 * BATCH}
    scaling |= {} if rule is None else {'rule': rule}
    cfg = training_config(
        tmp_path,
        max_iters=2,
        log_level='INFO',
        auto_scale_lr=scaling,
        optim_wrapper__accumulative_counts=accumulated,
    )
    launch.set_auto_scale_lr(cfg)
    runner = launch.build_runner(cfg)
    runner.train()
    assert top_lr(runner) == pytest.approx(0.01 * factor)
    note = (
        f'learning rate 0.01 for a batch of 32 scaled to {0.01 * factor:.6g} ({rule or "linear"}) '
        f'for {BATCH * accumulated} = {BATCH} × 1 ranks × {accumulated} accumulated'
    )
    assert logs(tmp_path).count(note) == 1


def test_a_config_may_scale_by_itself(tmp_path):
    scaling = {'enable': True, 'base_batch_size': 16 * BATCH, 'rule': 'sqrt'}
    runner = launch.build_runner(training_config(tmp_path, max_iters=1, auto_scale_lr=scaling))
    runner.train()
    assert top_lr(runner) == pytest.approx(0.01 / 4)


def test_a_config_that_was_scaled_is_not_scaled_again(tmp_path):
    scaling = {'base_batch_size': 16 * BATCH, 'rule': 'sqrt'}
    cfg = training_config(tmp_path, max_iters=1, auto_scale_lr=scaling)
    for number in range(2):
        cfg.experiment_name = f'scaled {tmp_path} {number}'
        launch.set_auto_scale_lr(cfg)
        runner = launch.build_runner(cfg)
        assert cfg.optim_wrapper.optimizer.lr == pytest.approx(0.01 / 4)
    runner.train()
    assert top_lr(runner) == pytest.approx(0.01 / 4)


def test_without_the_flag_nothing_is_scaled(tmp_path):
    scaling = {'enable': False, 'base_batch_size': 16 * BATCH, 'rule': 'sqrt'}
    runner = launch.build_runner(training_config(tmp_path, max_iters=1, auto_scale_lr=scaling))
    runner.train()
    assert top_lr(runner) == 0.01


@pytest.mark.parametrize(
    ('schedulers', 'floors'),
    [
        (
            [
                {'type': 'LinearLR', 'start_factor': 0.1},
                {'type': 'CosineAnnealingLR', 'eta_min_ratio': 0.005},
                {'type': 'CosineAnnealingLR', 'eta_min': 1e-5},
                {'type': 'CosineAnnealingWeightDecay', 'eta_min_ratio': 10.0},
            ],
            [None, 0.02, None, 10.0],
        ),
        ([{'type': 'CosineAnnealingLR', 'eta_min_ratio': 0.5}], [1.0]),  # never above the top
        ({'type': 'CosineAnnealingLR', 'eta_min_ratio': 0.005}, [0.02]),
        (None, []),
    ],
)
def test_the_end_of_the_cosine_does_not_scale(tmp_path, schedulers, floors):
    scaling = {'base_batch_size': 16 * BATCH, 'rule': 'sqrt'}
    cfg = training_config(tmp_path, max_iters=1, auto_scale_lr=scaling)
    cfg.param_scheduler = schedulers
    launch.set_auto_scale_lr(cfg)
    launch.build_runner(cfg)
    scaled = cfg.param_scheduler or []
    scaled = [scaled] if isinstance(scaled, dict) else scaled
    expected = [floor if floor is None else pytest.approx(floor) for floor in floors]
    assert [scheduler.get('eta_min_ratio') for scheduler in scaled] == expected


@pytest.mark.parametrize(
    ('launcher', 'variable'), [('pytorch', 'WORLD_SIZE'), ('slurm', 'SLURM_NTASKS')]
)
def test_the_launcher_knows_how_many_ranks_there_are(monkeypatch, tmp_path, launcher, variable):
    """No processes start: mmengine's runner stands aside."""
    runner = types.SimpleNamespace(logger=logging.getLogger('ranks'))
    monkeypatch.setattr(launch.Runner, 'from_cfg', lambda cfg: runner)
    monkeypatch.setattr(launch, 'init_gloo', lambda: None)
    scaling = {'enable': True, 'base_batch_size': BATCH, 'rule': 'sqrt'}
    cfg = training_config(tmp_path, auto_scale_lr=scaling)
    monkeypatch.delenv(variable, raising=False)
    with pytest.raises(ValueError, match=f'--launcher {launcher} needs .* {variable}'):
        launch.build_runner(cfg, launcher)
    monkeypatch.setenv(variable, '9')
    monkeypatch.setenv('LOCAL_RANK', '0')
    launch.build_runner(cfg, launcher)
    assert cfg.optim_wrapper.optimizer.lr == pytest.approx(0.01 * 3)


def normalise(rank):
    model = torch.nn.Sequential(torch.nn.SyncBatchNorm(3))
    wrapped = launch.CPUDistributedDataParallel(model, device_ids=None)
    images = torch.randn(4, 3, 2, 2, generator=torch.Generator().manual_seed(rank)) + rank
    out = wrapped(images)
    out.square().sum().backward()
    return {'mean': out.mean((0, 2, 3)).detach(), 'gradient': wrapped.module[0].weight.grad}


def test_batch_norm_is_left_to_each_rank_without_a_gpu():
    """Gradients of its weights are still averaged."""
    first, second = run_distributed(normalise, 2)
    for rank in (first, second):
        assert torch.allclose(rank['mean'], torch.zeros(3), atol=1e-5)
    assert torch.equal(first['gradient'], second['gradient'])
    assert first['gradient'].abs().min() > 1


def test_alone_the_environment_does_not_count(monkeypatch, tmp_path):
    monkeypatch.setenv('WORLD_SIZE', '9')
    cfg = training_config(tmp_path, auto_scale_lr={'enable': True, 'base_batch_size': BATCH})
    launch.build_runner(cfg)
    assert cfg.optim_wrapper.optimizer.lr == pytest.approx(0.01)


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
        'own_losses': recorder.own_losses,
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
    start_ranks(train_rank, WORLD, port, str(folder), changes)
    return [torch.load(folder / f'rank{rank}.pt') for rank in range(WORLD)]


@pytest.mark.skipif(torch.cuda.is_available(), reason='the launcher uses gloo without a GPU')
def test_ranks_hold_the_same_teacher_and_student(ranks):
    states = [rank['state'] for rank in ranks]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


@pytest.mark.skipif(torch.cuda.is_available(), reason='the launcher uses gloo without a GPU')
def test_the_log_holds_means_over_the_ranks(ranks):
    first, second = (rank['own_losses'] for rank in ranks)
    assert all(a != b for a, b in zip(first, second, strict=True))  # of different images
    means = [(a + b) / 2 for a, b in zip(first, second, strict=True)]
    for rank in ranks:
        assert rank['losses'] == pytest.approx(means, rel=1e-6)


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
