"""What of a log reaches the terminal."""

import functools
import itertools
import logging
import sys

import pytest
from mmengine.logging import MMLogger
from rich.console import Console

from poa_mm import screen
from poa_mm.engine.run_screen import _resuming

_numbers = itertools.count()


def quiet_logger(folder):
    """mmengine's logger of a run, made quiet, and its file."""
    path = folder / 'run.log'
    logger = MMLogger(f'screen {next(_numbers)}', log_file=str(path))
    screen.quiet(logger)
    return logger, path


def test_the_terminal_shows_what_matters_and_the_file_all(tmp_path, capsys):
    logger, path = quiet_logger(tmp_path)
    logger.info('System environment: gcc')
    screen.tell(logger, 'data  3 images')
    logger.warning('the run is short')
    logger.warning('"FileClient" will be deprecated in future.')
    logger.error('no space left')
    told, warning, error = capsys.readouterr().out.splitlines()
    assert told == 'data  3 images'
    assert 'WARNING' in warning
    assert warning.endswith('the run is short')
    assert error.endswith('no space left')
    written = path.read_text()
    for text in ('System environment', 'data  3 images', 'the run is short', 'FileClient', 'space'):
        assert text in written


def test_what_is_told_as_a_warning_looks_like_one(tmp_path, capsys):
    logger, _ = quiet_logger(tmp_path)
    screen.tell(logger, 'no GPU', logging.WARNING)
    assert 'WARNING' in capsys.readouterr().out


def of_logger_hook(logger, function, text):
    """A record as mmengine's LoggerHook makes it."""
    record = logger.makeRecord(logger.name, logging.INFO, 'x/logger_hook.py', 1, text, (), None)
    record.funcName = function
    logger.handle(record)


def test_losses_give_way_to_a_bar_and_metrics_do_not(tmp_path, capsys, monkeypatch):
    logger, path = quiet_logger(tmp_path)
    of_logger_hook(logger, 'after_train_iter', 'Iter(train) [1/9]  loss: 7')
    of_logger_hook(logger, 'after_train_iter', 'Exp name: tiny')
    assert capsys.readouterr().out.endswith('Iter(train) [1/9]  loss: 7\n')

    monkeypatch.setattr(
        screen, 'Console', functools.partial(Console, force_terminal=True, width=100)
    )
    streams = [handler.stream for handler in logger.handlers]
    bar = screen.Bar(logger)
    bar.show('training', 2, 9, 'loss 6.50')
    of_logger_hook(logger, 'after_train_iter', 'Iter(train) [2/9]  loss: 6')
    of_logger_hook(logger, 'after_val_epoch', 'Iter(val) [4/4]  mIoU: 40')
    bar.show('validation', 1, 4)
    bar.remove('validation')
    bar.stop()
    shown = capsys.readouterr().out
    assert '2/9' in shown
    assert 'loss 6.50' in shown
    assert 'validation' in shown
    assert 'mIoU: 40' in shown
    assert 'Iter(train) [2/9]' not in shown
    assert [handler.stream for handler in logger.handlers] == streams
    of_logger_hook(logger, 'after_train_iter', 'Iter(train) [3/9]')
    assert 'Iter(train) [3/9]' in capsys.readouterr().out
    assert path.read_text().count('Iter(train)') == 3


def test_what_libraries_print_is_logged(tmp_path, capsys):
    logger, path = quiet_logger(tmp_path)
    with screen.prints_logged(logger):
        print('loading annotations', end='')
        print(' into memory...')
        print('Done')
        sys.stdout.write('no end')
    print('mine')
    assert capsys.readouterr().out == 'mine\n'
    lines = [line.rpartition(' - ')[2] for line in path.read_text().splitlines()]
    assert lines == ['loading annotations into memory...', 'Done', 'no end']


def test_tables_of_results_are_shown_while_they_are_asked_for(tmp_path, capsys):
    logger, _ = quiet_logger(tmp_path)
    screen.show_results(logger, everything=True)
    logger.info('| class | IoU |')
    screen.show_results(logger, everything=False)
    logger.info('silent')
    assert capsys.readouterr().out.endswith('| class | IoU |\n')


def test_quiet_twice_filters_once(tmp_path):
    logger, _ = quiet_logger(tmp_path)
    filters = [list(handler.filters) for handler in logger.handlers]
    screen.quiet(logger)
    assert [handler.filters for handler in logger.handlers] == filters


@pytest.mark.parametrize(
    ('argv', 'command'),
    [
        (['tools/train.py', 'c.py'], 'python tools/train.py c.py --resume'),
        (['t.py', 'c.py', '--resume'], 'python t.py c.py --resume'),
        (['t.py', '--resume', 'old.pth', 'c.py'], 'python t.py c.py --resume'),
        (['t.py', 'c.py', '--resume=old.pth'], 'python t.py c.py --resume'),
        (
            ['t.py', 'c.py', '--resume', '--cfg-options', 'a=[1, 2]'],
            "python t.py c.py --cfg-options 'a=[1, 2]' --resume",
        ),
    ],
)
def test_a_run_is_resumed_by_its_own_command(argv, command):
    assert _resuming(argv) == command
