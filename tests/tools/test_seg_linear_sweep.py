"""tools/seg_linear_sweep.py from a config file to heads that tools/test.py takes."""

import csv
import json
import shlex
import sys

import pytest
import torch
from helpers import load_tool
from ranks import run_tool_on_ranks
from tiny.segmentation import draw, tiny_config
from tool_outcome import outcome

tool = load_tool('seg_linear_sweep')


@pytest.fixture
def config(tmp_path):
    """A file with a dot in its name."""
    cfg = tiny_config('linear_poa_vit-b', draw(tmp_path / 'data'), tmp_path / 'run', iters=2)
    cfg.pop('work_dir')
    cfg.dump(tmp_path / 'lr_0.1.py')
    return tmp_path / 'lr_0.1.py'


@pytest.fixture
def sweep(config, tmp_path, monkeypatch):
    """Runs the tool in an empty folder; returns what it exits with."""
    monkeypatch.chdir(tmp_path)

    def call(*args):
        return outcome(tool.main, [str(config), *args])

    return call


def rows(folder):
    with (folder / 'sweep.csv').open() as file:
        return list(csv.DictReader(file))


def test_a_sweep_leaves_a_table_and_the_best_head(sweep, config, tmp_path, capsys, monkeypatch):
    options = ['model.test_cfg.stride=(16,16)', 'test_dataloader.num_workers=0']
    assert sweep('--lr', '1e-3', '0.1', '--cfg-options', *options) is None
    folder = tmp_path / 'work_dirs' / 'lr_0.1_sweep'  # the default, below the current folder
    table = rows(folder)
    assert [row['lr'] for row in table] == ['0.001', '0.1']
    (best,) = [row for row in table if row['best'] == '1']
    assert float(best['mIoU']) == max(float(row['mIoU']) for row in table)
    assert {path.name for path in folder.glob('*.pth')} == {'best.pth', 'iter_2.pth'}
    printed = capsys.readouterr().out
    assert 'a step sees 2 images' in printed
    assert all(row['mIoU'] in printed for row in table)
    (line,) = (line for line in printed.splitlines() if line.startswith('python '))
    tool_path, *arguments = shlex.split(line.removeprefix('python '))
    assert arguments[-3:] == ['--cfg-options', *options]
    monkeypatch.setattr(sys, 'argv', [tool_path, *arguments])
    assert load_tool('test').main() == 0
    (log,) = (tmp_path / 'work_dirs' / 'lr_0.1').glob('*/*.json')
    tested = json.loads(log.read_text())
    for name in ('mIoU', 'aAcc', 'mAcc'):
        assert tested[name] == pytest.approx(float(best[name]), rel=1e-6)


def test_all_heads_are_kept_on_request(sweep, tmp_path):
    assert sweep('--lr', '1e-3', '0.1', '--keep-all', '--work-dir', 'w') is None
    names = {path.name for path in (tmp_path / 'w').glob('*.pth')}
    assert names == {'best.pth', 'lr_0.001.pth', 'lr_0.1.pth', 'iter_2.pth'}


def test_a_finished_sweep_is_not_written_over(sweep, tmp_path):
    assert sweep('--lr', '1e-3', '--work-dir', 'w') is None
    before = {path: path.read_bytes() for path in (tmp_path / 'w').glob('*.*') if path.is_file()}
    assert 'w holds the checkpoints of an earlier run' in sweep('--lr', '0.1', '--work-dir', 'w')
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.parametrize('name', ['sweep.csv', 'best.pth'])
def test_results_of_a_sweep_are_not_written_over(sweep, tmp_path, name):
    (tmp_path / 'w').mkdir()
    (tmp_path / 'w' / name).write_text('mine')
    message = sweep('--lr', '0.1', '--work-dir', 'w')
    assert message.startswith(f'error: w/{name} exists already')
    assert '--overwrite' in message
    assert (tmp_path / 'w' / name).read_text() == 'mine'


def test_resuming_a_finished_sweep_gives_its_table_again(sweep, tmp_path):
    assert sweep('--lr', '1e-3', '0.1', '--work-dir', 'w') is None
    table = rows(tmp_path / 'w')
    (tmp_path / 'w' / 'sweep.csv').unlink()
    assert sweep('--lr', '1e-3', '0.1', '--work-dir', 'w', '--resume') is None
    assert rows(tmp_path / 'w') == table


@pytest.mark.parametrize(
    ('args', 'message'),
    [
        (['--lr', '0.1', '0.1'], 'learning rates must be positive and all different'),
        (['--lr', '-1'], 'learning rates must be positive and all different, got [-1.0]'),
        (['--resume', 'none.pth'], 'no checkpoint to resume from at none.pth'),
        (['--cfg-options', 'model.type=EncoderDecoder'], 'needs a FrozenEncoderDecoder'),
        (['--cfg-options', 'model.decode_head.num_classes=9'], 'has 4 classes, the model 9'),
        (['--cfg-options', 'train_dataloader.dataset.data_root=none'], 'none'),
    ],
)
def test_user_errors_are_one_line(sweep, args, message):
    answer = sweep(*args)
    assert answer.startswith('error: ')
    assert message in answer
    assert '\n' not in answer


def test_a_config_that_is_missing_is_one_line(tmp_path):
    answer = outcome(tool.main, [str(tmp_path / 'none.py')])
    assert answer == f'error: no config at {tmp_path}/none.py'


@pytest.mark.slow
def test_two_processes_give_what_two_processes_of_train_py_give(config, tmp_path):
    rates = ('0.003', '0.1')
    swept = tmp_path / 'swept'
    args = (config, '--lr', *rates, '--keep-all', '--work-dir', swept)
    printed = run_tool_on_ranks('seg_linear_sweep', 2, *args)
    assert 'a step sees 4 images (2 × 2 processes' in printed
    for rate in rates:
        option = f'optim_wrapper.optimizer.lr={rate}'
        args = (config, '--work-dir', tmp_path / rate, '--cfg-options', option)
        run_tool_on_ranks('train', 2, *args)
        alone = torch.load(tmp_path / rate / 'iter_2.pth', weights_only=False)['state_dict']
        head = torch.load(swept / f'lr_{rate}.pth', weights_only=True)['state_dict']
        assert alone.keys() == head.keys()
        for name, value in alone.items():
            assert torch.allclose(head[name], value, rtol=1e-5, atol=1e-7), name
