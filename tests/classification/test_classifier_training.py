"""tools/train.py and tools/test.py on fine-tuning configs."""

import shutil
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from tiny.classification import call, draw, last, tiny_config, tool_score

from poa_mm.evaluation import read_results


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return draw(tmp_path_factory.mktemp('cls'))


@pytest.fixture(scope='module')
def run(folder):
    """A finished run of three epochs in two workers: its config file and its folder."""
    cfg = tiny_config('finetune_poa_vit-s', folder, folder / 'whole', epochs=3)
    cfg.train_dataloader.num_workers = 2
    cfg.default_hooks.checkpoint.max_keep_ckpts = 3
    assert cfg.model.backbone.drop_path_rate > 0
    cfg.dump(folder / 'c.py')
    assert call('train', folder / 'c.py') is None
    return folder / 'c.py', folder / 'whole'


def weights(path):
    """Average, last weights and the optimiser's averages of a checkpoint."""
    content = torch.load(path, weights_only=False)
    moments = [s['exp_avg'] for s in content['optimizer']['state'].values()]
    return {
        'average': content['state_dict'],
        'last': content['ema_state_dict'],
        'moments': dict(enumerate(moments)),
    }


def test_a_resumed_run_goes_on_to_the_bit(run, tmp_path):
    """Crops, erased pixels, mixed images, dropped paths and the average are those of the step."""
    config, whole = run
    options = ['--work-dir', tmp_path, '--resume', whole / 'epoch_1.pth']
    assert call('train', config, *options) is None
    one, other = weights(whole / 'epoch_3.pth'), weights(tmp_path / 'epoch_3.pth')
    for kind, tensors in one.items():
        assert tensors.keys() == other[kind].keys()
        assert all(torch.equal(value, other[kind][name]) for name, value in tensors.items()), kind
    assert last(tmp_path) == last(whole)


def test_the_average_is_what_a_checkpoint_holds_and_what_is_tested(run, tmp_path):
    config, whole = run
    states = weights(whole / 'epoch_3.pth')
    name = 'backbone.layers.0.ffn.layers.0.0.weight'
    assert not torch.equal(states['average'][name], states['last'][f'module.{name}'])
    assert call('test', config, whole / 'epoch_3.pth', '--work-dir', tmp_path / 'a') is None
    assert tool_score(tmp_path / 'a') == pytest.approx(last(whole))
    (line, *_) = read_results(tmp_path / 'a' / 'results.jsonl')
    assert (line.protocol, line.value) == ('finetune', tool_score(tmp_path / 'a'))
    # Without the hook the file's weights are tested as they are: they are the average.
    cfg = Config.fromfile(config)
    cfg.custom_hooks = [hook for hook in cfg.custom_hooks if 'EMA' not in hook.type]
    cfg.dump(tmp_path / 'plain.py')
    args = [tmp_path / 'plain.py', whole / 'epoch_3.pth', '--work-dir', tmp_path / 'b']
    assert call('test', *args) is None
    assert tool_score(tmp_path / 'b') == tool_score(tmp_path / 'a')


def test_the_average_moves_with_the_steps_of_the_optimiser(folder, tmp_path):
    """Two iterations a step: 0.3 of the new weights once, not twice."""
    cfg = tiny_config('finetune_poa_vit-s', folder, tmp_path, epochs=2, batch=5)
    cfg.optim_wrapper.accumulative_counts = 2
    cfg.val_dataloader = cfg.val_cfg = cfg.val_evaluator = None
    cfg.default_hooks.checkpoint.save_best = None
    cfg.dump(tmp_path / 'c.py')
    assert call('train', tmp_path / 'c.py') is None
    first, second = (weights(tmp_path / f'epoch_{number}.pth') for number in (1, 2))
    steps = torch.load(tmp_path / 'epoch_2.pth', weights_only=False)['ema_state_dict']['steps']
    assert steps == 4  # of 8 iterations
    assert first['average'].keys() == second['average'].keys()


def test_classes_of_another_number_are_refused_before_training(run, tmp_path):
    config, _ = run
    answer = call(
        'train', config, '--work-dir', tmp_path, '--cfg-options', 'model.head.num_classes=4'
    )
    assert answer == (
        'error: the training data has 3 classes (blue, green, red), the model 4: set '
        'model.head.num_classes=3'
    )
    assert not list(tmp_path.glob('*.pth'))


def test_a_test_needs_all_classes_or_their_names(run, tmp_path):
    config, whole = run
    shutil.copytree(Path(config).parent / 'val', tmp_path / 'val')
    shutil.rmtree(tmp_path / 'val' / 'red')
    data = f'test_dataloader.dataset.data_root={tmp_path}/val'
    args = [config, whole / 'epoch_3.pth', '--work-dir', tmp_path, '--cfg-options', data]
    answer = call('test', *args)
    assert answer == (
        'error: the test data has 2 classes (blue, green), the model 3: it needs the folders of '
        'all classes, or their names as metainfo.classes'
    )
    names = 'test_dataloader.dataset.metainfo.classes'
    assert call('test', *args, f'{names}=[blue,green,red]') is None
    answer = call('test', *args, f'{names}=[red,green,blue]')
    assert "class 0 is 'blue' in the one and 'red' in the other" in answer


def test_a_wrong_checkpoint_is_refused_before_training(run, tmp_path):
    config, whole = run
    cfg = Config.fromfile(config)
    for checkpoint, words in (
        (str(tmp_path / 'none.pth'), 'no checkpoint at'),
        (str(whole / 'epoch_1.pth'), 'do not fit'),
        (f'subnet://vit-s@{whole}/epoch_1.pth', 'supernet'),
    ):
        cfg.model.backbone.init_cfg = {'type': 'Pretrained', 'checkpoint': checkpoint}
        cfg.dump(tmp_path / 'c.py')
        answer = call('train', tmp_path / 'c.py', '--work-dir', tmp_path / 'run')
        assert answer.startswith('error: '), answer
        assert words in answer
        assert checkpoint.partition('@')[2] in answer
    assert not list(tmp_path.glob('run/*.pth'))
