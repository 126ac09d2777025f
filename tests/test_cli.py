import argparse
import json
import os

import numpy as np
import pytest
from torch import nn

from poa_mm import cli
from poa_mm.errors import DivergedError, InputError, RunFailedError
from poa_mm.files import check_file
from poa_mm.registry import MODELS


def end(error, capsys, *options):
    """Exit code and lines on the standard error stream of a tool whose work raises an error."""
    parser = argparse.ArgumentParser()
    cli.add_traceback(parser)

    def work(args):
        if isinstance(error, BaseException):
            raise error
        error()

    code = cli.run(work, parser.parse_args(options))
    printed = capsys.readouterr()
    assert printed.out == ''
    return code, printed.err.splitlines()


def unknown_argument():
    MODELS.build({'type': 'POA', 'haed': {}})


MISTAKES = {
    'a missing file': (lambda: check_file('none.pth', 'checkpoint'), 'no checkpoint at none.pth'),
    'a file that cannot be read': (lambda: os.scandir('none'), "No such file or directory: 'none'"),
    'a checked value': (ValueError('width must be positive, got 0'), 'must be positive, got 0'),
    'a value of a checked type': (TypeError('images must be float, got int'), 'must be float'),
    'what is found in a run': (InputError('a.png is\n no image'), 'error: a.png is no image'),
    'a package to install': (ModuleNotFoundError('pip install onnx'), 'error: pip install onnx'),
    'an unknown class': (lambda: MODELS.build({'type': 'POAA'}), "did you mean 'POA'?"),
    'an unknown argument': (unknown_argument, "no argument 'haed'; did you mean 'head'?"),
}


@pytest.mark.parametrize(('error', 'message'), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_one_line(error, message, capsys):
    code, lines = end(error, capsys)
    assert code == 2
    (line,) = lines
    assert line.startswith('error: ')
    assert message in line


@pytest.mark.parametrize(('error', 'message'), MISTAKES.values(), ids=MISTAKES)
def test_traceback_shows_where_a_mistake_came_up(error, message, capsys):
    code, lines = end(error, capsys, '--traceback')
    assert code == 2
    assert lines[0] == 'Traceback (most recent call last):'
    assert lines[-1].startswith('error: ')
    assert message in lines[-1]


class Buggy(nn.Module):
    def __init__(self):
        super().__init__()
        self.tau = {}['tau']


def of_a_hook():
    """As ``Runner.call_hook`` of mmengine does it."""
    try:
        None + 1  # noqa: B018 # raises
    except TypeError as error:
        raise TypeError(f'{error} in a hook') from None


BUGS = {
    'a type that Python refuses, in a hook': of_a_hook,
    'a missing key': lambda: {}['tau'],
    'a missing key, raised': KeyError('tau'),
    'a missing attribute': lambda: None.shape,
    'a type that Python refuses': lambda: None + 1,
    'a value that Python refuses': lambda: int('many'),
    'a value that numpy refuses': lambda: np.zeros(2) + np.zeros(3),
    'a value that the standard library refuses': lambda: json.loads('{'),
    'a call with a wrong argument': lambda: check_file(pth='a.pth'),
    'a module that is not there': lambda: __import__('no_such_module'),
    'an assertion': AssertionError('never'),
    'a bug in a data loader process': ValueError('Caught ValueError\nTraceback (most …\nbad'),
    'a bug in a class that a config names': lambda: MODELS.build({'type': Buggy}),
}


@pytest.mark.parametrize('error', BUGS.values(), ids=BUGS)
def test_a_bug_shows_its_traceback(error, capsys):
    code, lines = end(error, capsys)
    assert code == 1
    assert lines[0] == 'Traceback (most recent call last):'
    assert any('test_cli.py' in line for line in lines)
    assert error is not of_a_hook or any('None + 1' in line for line in lines)
    assert lines[-1].startswith('error: unexpected ')
    assert lines[-1].endswith('Error; its traceback is above')


def test_a_bug_in_a_run_names_the_log(capsys):
    failure = RunFailedError('w/a.log')
    failure.__cause__ = KeyError('tau')
    code, lines = end(failure, capsys)
    assert code == 1
    message = 'error: unexpected KeyError; its traceback is above and in w/a.log'
    assert lines[-2:] == ["KeyError: 'tau'", message]
    assert not any('RunFailedError' in line for line in lines)


def test_a_diverged_run_says_what_it_has_to_say_and_fails(capsys):
    code, lines = end(DivergedError('stopped at iteration 9:\nnot finite'), capsys)
    assert (code, lines) == (1, ['error: stopped at iteration 9: not finite'])


@pytest.mark.parametrize(
    ('text', 'shown'), [('', 'stopped'), ('stopped after 3', 'stopped after 3')]
)
def test_an_interrupted_tool_stops_without_a_traceback(text, shown, capsys, monkeypatch):
    assert end(KeyboardInterrupt(text), capsys) == (130, [shown])
    monkeypatch.setenv('RANK', '1')
    assert end(KeyboardInterrupt(text), capsys) == (130, [])


def test_success_is_silent(capsys):
    assert end(lambda: None, capsys) == (0, [])


@pytest.mark.parametrize('variable', ['LOCAL_RANK', 'SLURM_LOCALID'])
def test_processes_of_one_machine_report_one_after_the_other(variable, capsys, monkeypatch):
    waits = []
    monkeypatch.setattr(cli.time, 'sleep', waits.append)
    for rank in range(4):
        monkeypatch.setenv(variable, str(rank))
        end(ValueError('wrong'), capsys)
    assert waits == [0, 5, 15, 15]
