"""Histories are as long as the log looks back, and the log stays the same."""

import json
import math

import numpy as np
import pytest
from mmengine.logging import HistoryBuffer
from mmengine.runner import LogProcessor
from tiny.line_runs import by_epochs, train

from poa_mm import files
from poa_mm.engine.hooks import history_hook


def lengths(scalars):
    return {name: len(buffer.data[0]) for name, buffer in scalars.items()}


def logged(folder):
    """What the log says of the losses, row by row."""
    path = next(folder.rglob('scalars.json'))
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return [{k: v for k, v in row.items() if 'time' not in k and k != 'memory'} for row in rows]


WINDOWS = [
    {'data_src': 'loss', 'log_name': 'loss_5', 'method_name': 'mean', 'window_size': 5},
    {'data_src': 'loss', 'log_name': 'loss_max', 'method_name': 'max', 'window_size': 'epoch'},
    {'data_src': 'loss', 'log_name': 'loss_all', 'method_name': 'mean', 'window_size': 'global'},
]


@pytest.mark.parametrize('custom', [[], WINDOWS[:1], WINDOWS[:2], WINDOWS])
def test_the_log_stays_the_same(tmp_path, monkeypatch, custom):
    options = {
        **by_epochs(3),
        'train_dataloader__batch_size': 1,
        'log_processor__window_size': 3,
        'log_processor__custom_cfg': custom,
        'scores': [1],
    }
    train(tmp_path / 'whole', **options)
    monkeypatch.setattr(history_hook, 'KEPT', 2)
    runner, _ = train(tmp_path / 'bounded', **options)
    assert logged(tmp_path / 'bounded') == logged(tmp_path / 'whole')
    found = lengths(runner.message_hub.log_scalars)
    assert found['train/lr'] == 3
    assert found['train/loss'] == (3, 5, 8, 24)[len(custom)]  # an epoch has 8 iterations
    assert found['val/time'] == 4  # averaged over a validation


def test_a_validation_s_times_are_averaged_over_all_of_it(tmp_path, monkeypatch):
    """The second validation, of four batches, does not see the first one."""
    monkeypatch.setattr(history_hook, 'KEPT', 1)
    runner, _ = train(tmp_path, scores=[1, 1], log_processor__window_size=1)
    values, _ = runner.message_hub.get_scalar('val/time').data
    path = next(tmp_path.rglob('scalars.json'))
    row = [json.loads(line) for line in path.read_text().splitlines() if 'score' in line][-1]
    assert row['time'] == pytest.approx(np.mean(values))
    assert len(values) == 4


@pytest.mark.parametrize(
    ('window', 'kept'),
    [(10, 1000), (1500, 1500), ('epoch', 7000), ('global', None), (None, None)],
)
@pytest.mark.parametrize('mode', ['train', 'val'])
def test_windows(window, kept, mode):
    custom = [{'data_src': 'loss', 'method_name': 'mean', 'window_size': window}]
    processor = LogProcessor(custom_cfg=custom)
    assert history_hook._window(processor, f'{mode}/loss', 7000) == kept
    assert history_hook._window(processor, f'{mode}/acc', 7000) == 1000
    assert history_hook._window(processor, f'{mode}/data_time', 7000) == (
        7000 if mode == 'val' else 1000
    )
    assert history_hook._window(LogProcessor(window_size=2000), f'{mode}/acc', 9) == 2000


def test_what_an_old_checkpoint_brings_along_is_cut(tmp_path):
    runner, _ = train(tmp_path / 'old')
    for name in ('train/loss', 'train/gone', 'val/time'):
        runner.message_hub.update_scalar(name, 0.0)
        runner.message_hub.log_scalars[name] = HistoryBuffer(np.arange(5e4), np.ones(50_000))
    runner.save_checkpoint(str(tmp_path / 'old'), 'iter_4.pth', by_epoch=False, meta={'iter': 4})
    size = (tmp_path / 'old' / 'iter_4.pth').stat().st_size
    train(tmp_path / 'new', str(tmp_path / 'old' / 'iter_4.pth'), iters=6)
    scalars = files.read_file(tmp_path / 'new' / 'iter_6.pth')['message_hub']['log_scalars']
    assert lengths(scalars)['train/loss'] == 1000
    assert lengths(scalars)['train/gone'] == lengths(scalars)['val/time'] == 1000
    values = scalars['train/loss'].data[0]
    assert list(values[-4:-2]) == [49_998, 49_999]
    assert all(math.isfinite(value) for value in values)
    assert (tmp_path / 'new' / 'iter_6.pth').stat().st_size < size / 20
