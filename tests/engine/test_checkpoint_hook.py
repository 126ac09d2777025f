"""Files of other runs are left alone, and one checkpoint is whole at any time."""

import os
import shutil
import signal
from pathlib import Path

import pytest
import torch
from ranks import exit_code_of
from tiny.line_runs import by_epochs, config, names, train, warnings_of

from poa_mm import files
from poa_mm.engine import run_folder
from poa_mm.errors import InputError


def content(folder):
    return {path: path.read_bytes() for path in folder.rglob('*') if path.is_file()}


def hub(path):
    return files.read_file(path)['message_hub']['runtime_info']


@pytest.mark.parametrize('scores', [[9, 10], [1, 0]], ids=['better', 'worse'])
@pytest.mark.parametrize('save_best', ['score', 'auto'])
def test_a_run_in_another_folder_leaves_the_first_one_alone(tmp_path, scores, save_best):
    options = {'default_hooks__checkpoint__max_keep_ckpts': 1}
    options['default_hooks__checkpoint__save_best'] = save_best
    train(tmp_path / 'one', scores=[3, 2], **options)
    before = content(tmp_path / 'one')
    start = tmp_path / 'one' / 'iter_4.pth'
    train(tmp_path / 'two', str(start), scores=scores, iters=8, **options)
    assert content(tmp_path / 'one') == before
    best = 6 + 2 * (scores[1] > scores[0])
    assert names(tmp_path / 'two') == [f'best_score_iter_{best}.pth', 'iter_8.pth']
    info = hub(tmp_path / 'two' / 'iter_8.pth')
    assert info['best_score'] == max(scores)
    assert info['best_ckpt'] == str(tmp_path / 'two' / f'best_score_iter_{best}.pth')
    assert str(tmp_path / 'one') not in str({**info, 'cfg': ''})
    assert (
        sum('search for the best starts again' in line for line in warnings_of(tmp_path / 'two'))
        == 1
    )


@pytest.mark.parametrize('moved', [True, False], ids=['moved', 'copied'])
def test_a_moved_or_copied_run_goes_on_with_its_own_files(tmp_path, moved):
    options = {'default_hooks__checkpoint__max_keep_ckpts': 2}
    train(tmp_path / 'one', scores=[1, 3], **options)
    (shutil.move if moved else shutil.copytree)(tmp_path / 'one', tmp_path / 'two')
    before = content(tmp_path / 'one')
    runner, _ = train(tmp_path / 'two', 'auto', scores=[2, 5], iters=8, **options)
    assert runner.message_hub.get_info('best_score') == 5
    assert names(tmp_path / 'two') == ['best_score_iter_8.pth', 'iter_6.pth', 'iter_8.pth']
    assert content(tmp_path / 'one') == before
    assert not any('anew' in line for line in warnings_of(tmp_path / 'two'))


def test_a_score_of_its_own_folder_is_still_to_be_beaten(tmp_path):
    train(tmp_path, scores=[1, 3])
    train(tmp_path, 'auto', scores=[2], iters=6)
    assert names(tmp_path, 'best*') == ['best_score_iter_4.pth']


def test_another_metric_starts_anew(tmp_path):
    train(tmp_path, scores=[1, 3])
    train(
        tmp_path,
        'auto',
        scores=[0.5],
        iters=6,
        val_evaluator__name='loss',
        default_hooks__checkpoint__save_best='loss',
        default_hooks__checkpoint__rule='less',
    )
    assert names(tmp_path, 'best*') == ['best_loss_iter_6.pth', 'best_score_iter_4.pth']


def test_several_metrics_each_with_its_checkpoint(tmp_path):
    metrics = [{'type': 'Scripted', 'scores': [3, 2], 'name': name} for name in ('mIoU', 'aAcc')]
    metrics[1]['scores'] = [1, 2]
    options = {'val_evaluator': metrics, 'default_hooks__checkpoint__save_best': ['mIoU', 'aAcc']}
    train(tmp_path / 'one', scores=[0], **options)
    best = ['best_aAcc_iter_4.pth', 'best_mIoU_iter_2.pth']
    assert names(tmp_path / 'one', 'best*') == best
    before = content(tmp_path / 'one')
    train(tmp_path / 'two', str(tmp_path / 'one' / 'iter_2.pth'), scores=[0], **options)
    assert content(tmp_path / 'one') == before
    assert names(tmp_path / 'two', 'best*') == ['best_aAcc_iter_4.pth', 'best_mIoU_iter_4.pth']


def test_links_to_the_files_of_another_run_are_replaced_not_written_through(tmp_path):
    train(tmp_path / 'one', scores=[1, 3])
    before = content(tmp_path / 'one')
    shutil.copytree(tmp_path / 'one', tmp_path / 'two', copy_function=os.link)
    train(tmp_path / 'two', str(tmp_path / 'two' / 'iter_2.pth'), scores=[9])
    assert (tmp_path / 'two' / 'iter_4.pth').read_bytes() != before[tmp_path / 'one' / 'iter_4.pth']
    own = {path: data for path, data in before.items() if path.suffix == '.pth'}
    own[tmp_path / 'one' / 'last_checkpoint'] = before[tmp_path / 'one' / 'last_checkpoint']
    assert {path: path.read_bytes() for path in own} == own
    assert 'iter_4.pth in' in ''.join(warnings_of(tmp_path / 'two'))  # will be overwritten


def train_until_killed(number, work_dir, changes):
    """Train, but for the middle of the save of that number, where the process is killed."""
    save, counts = torch.save, iter(range(1, 1000))

    def save_half(data, path, *args, **kwargs):
        save(data, path, *args, **kwargs)
        if next(counts) == number:
            whole = path.read_bytes()
            path.write_bytes(whole[: len(whole) // 2])
            os.kill(os.getpid(), signal.SIGKILL)

    torch.save = save_half
    train(work_dir, **changes)


@pytest.mark.parametrize('number', range(2, 8))
def test_a_run_that_is_killed_while_it_saves(tmp_path, number):
    """Saves: iteration 2, the best, 2 again; 4, the best, 4 again; 6. One has come through."""
    options = {'scores': [1, 2, 1], 'iters': 6, 'default_hooks__checkpoint__max_keep_ckpts': 1}
    ended = exit_code_of(train_until_killed, number, tmp_path, options)
    assert ended == -signal.SIGKILL
    assert len(names(tmp_path, '*.partial')) == 1
    path, notes = run_folder.newest_complete(config(tmp_path))
    assert (path.name, notes) == (f'iter_{2 + 2 * (number > 4) + 2 * (number > 7)}.pth', [])
    best = hub(path).get('best_ckpt')
    assert best is None or Path(best).is_file()
    train(tmp_path, 'auto', **options)
    assert names(tmp_path, 'iter*') == ['iter_6.pth']
    assert not names(tmp_path, '*.partial')


def test_a_full_disk_leaves_what_was_there(tmp_path, monkeypatch):
    train(tmp_path, default_hooks__checkpoint__max_keep_ckpts=1)

    def fail(data, path):
        path.write_bytes(b'half')
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(torch, 'save', fail)
    with pytest.raises(OSError, match='No space left'):
        train(tmp_path, 'auto', iters=6, default_hooks__checkpoint__max_keep_ckpts=1)
    assert names(tmp_path) == ['iter_4.pth']
    files.check_sums(tmp_path / 'iter_4.pth')


def test_fewer_are_kept_from_now_on(tmp_path):
    options = {'default_hooks__checkpoint__interval': 1}
    train(tmp_path, **options, default_hooks__checkpoint__max_keep_ckpts=3)
    assert names(tmp_path) == ['iter_2.pth', 'iter_3.pth', 'iter_4.pth']
    train(tmp_path, 'auto', iters=5, **options, default_hooks__checkpoint__max_keep_ckpts=2)
    assert names(tmp_path) == ['iter_4.pth', 'iter_5.pth']


def test_checkpoints_of_epochs(tmp_path):
    options = {**by_epochs(3), 'default_hooks__checkpoint__max_keep_ckpts': 1, 'scores': [2, 3, 1]}
    train(tmp_path / 'one', **options)
    assert names(tmp_path / 'one') == ['best_score_epoch_2.pth', 'epoch_3.pth']
    shutil.move(tmp_path / 'one', tmp_path / 'two')
    train(tmp_path / 'two', 'auto', **{**options, **by_epochs(4), 'scores': [4]})
    assert names(tmp_path / 'two') == ['best_score_epoch_4.pth', 'epoch_4.pth']


def test_a_metric_that_is_not_measured_is_named(tmp_path):
    with pytest.raises(InputError, match=r"among the metrics \['score'\], got \['mIoU'\]"):
        train(tmp_path, scores=[1], default_hooks__checkpoint__save_best='mIoU')
    assert names(tmp_path) == ['iter_2.pth']
