"""Options that tools share, and what a tool does about errors.

Exit codes of every tool: 0 for success, 2 for a mistake of the user, 1 for any other error, 130
after Ctrl-C. A mistake is one line, ``error: …``; any other error comes with its traceback.

A tool first checks its arguments and the files that they name, then imports what it works with,
which takes seconds. So nothing here imports torch or OpenMMLab until it is called.
"""

import argparse
import io
import os
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from poa_mm.errors import DivergedError, RunFailedError, is_mistake, one_line, origin
from poa_mm.files import check_folder

if TYPE_CHECKING:
    import torch

__all__ = [
    'add_cfg_options',
    'add_device',
    'add_labelled_data',
    'add_launcher',
    'add_overwrite',
    'add_traceback',
    'beside',
    'check_labelled_data',
    'default_device',
    'read_cfg_options',
    'run',
]

FAILED, MISTAKEN, INTERRUPTED = 1, 2, 130  # exit codes, as Python, argparse and shells have them
# Before the first, the second and any other process of a machine reports an error: longer than the
# first takes to end, after which the launcher stops the others.
WAITS = (0, 5, 15)  # seconds
DEVICES = ('cpu', 'cuda', 'mps', 'xpu')


def add_cfg_options(
    parser: argparse.ArgumentParser, example: str = 'train_cfg.max_iters=100'
) -> None:
    """Add ``--cfg-options``, which :func:`read_cfg_options` reads."""
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action='extend',
        default=[],
        type=_assignment,
        metavar='KEY=VALUE',
        help=f'override settings of the config, e.g. {example}',
    )


def _assignment(text: str) -> str:
    key, found, _ = text.partition('=')
    if not (key and found):
        raise argparse.ArgumentTypeError(f'write KEY=VALUE, without blanks, not {text!r}')
    return text


def read_cfg_options(options: Sequence[str]) -> dict[str, Any]:
    """Read settings by key, with values as in mmengine: numbers, lists, booleans, text.

    Raises:
        ValueError: Brackets that do not match.
    """
    from mmengine.config import DictAction

    settings = argparse.Namespace()
    try:
        DictAction(['--cfg-options'], 'read')(argparse.ArgumentParser(), settings, list(options))
    except AssertionError as error:
        raise ValueError(f'--cfg-options: {error}') from error
    return settings.read


def add_device(
    parser: argparse.ArgumentParser, text: str = 'where to compute (default: a GPU, if any)'
) -> None:
    """Add ``--device``; without it, the value is None: see :func:`default_device`."""
    parser.add_argument('--device', type=_device, help=text)


def _device(name: str) -> 'torch.device':
    import torch

    try:
        return torch.empty(0, device=name).device
    except (AssertionError, RuntimeError) as error:
        if name.partition(':')[0] not in DEVICES:
            raise argparse.ArgumentTypeError(
                f'there is no device {name!r}; valid: {", ".join(DEVICES)}, also with a number '
                'as in cuda:1'
            ) from error
        raise argparse.ArgumentTypeError(f'{name}: {str(error).splitlines()[0]}') from error


def default_device() -> 'torch.device':
    """Return a GPU, if there is one, or else the CPU."""
    import torch

    return torch.device('cuda' if torch.cuda.is_available() else 'cpu')


def add_launcher(parser: argparse.ArgumentParser) -> None:
    """Add ``--launcher``: what has started the processes of this run."""
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm'], default='none')


def add_labelled_data(parser: argparse.ArgumentParser, text: str) -> None:
    """Add ``--train-data`` and ``--test-data``; see :func:`check_labelled_data`.

    Args:
        parser: Of a tool that evaluates.
        text: What the images of the first one are for.
    """
    parser.add_argument('--train-data', metavar='DIR', help=text)
    parser.add_argument('--test-data', metavar='DIR', help='images to classify, likewise')


def check_labelled_data(args: argparse.Namespace, alone: bool = False) -> bool:
    """Check the folders of the user's own images; return whether there are any.

    Args:
        args: Of a parser with :func:`add_labelled_data`.
        alone: Whether ``--train-data`` may come alone, for tools that need no labels.

    Raises:
        FileNotFoundError: No such folder.
        NotADirectoryError: It is a file.
        ValueError: One of the two is missing.
    """
    given = {'--train-data': args.train_data, '--test-data': args.test_data}
    missing = [option for option, folder in given.items() if folder is None]
    if len(missing) == 1 and not (alone and args.train_data):
        raise ValueError(f'{missing[0]} is missing: give both --train-data and --test-data')
    for folder in given.values():
        if folder is not None:
            check_folder(folder)
    return args.train_data is not None


def add_overwrite(parser: argparse.ArgumentParser) -> None:
    """Add ``--overwrite``, which :func:`poa_mm.files.check_free` advises."""
    parser.add_argument('--overwrite', action='store_true', help='replace what exists already')


def beside(checkpoint: Path, what: str, suffix: str = '') -> Path:
    """Return where a tool writes by default: beside the checkpoint, and named after it.

    Args:
        checkpoint: Such as ``run/iter_1000.pth``.
        what: What is written, such as ``knn``.
        suffix: Of a file, such as ``.csv``.

    Returns:
        The path.

    Examples:
        >>> str(beside(Path('run/iter_1000.pth'), 'knn', '.csv'))
        'run/knn_iter_1000.csv'
    """
    return checkpoint.parent / f'{what}_{checkpoint.stem}{suffix}'


def add_traceback(parser: argparse.ArgumentParser) -> None:
    """Add ``--traceback``, which :func:`run` reads."""
    parser.add_argument(
        '--traceback', action='store_true', help='on an error, show where in the code it came up'
    )


def run(work: Callable[[argparse.Namespace], None], args: argparse.Namespace) -> int:
    """Do the work of a tool, and report what goes wrong with it.

    Args:
        work: What to do.
        args: Its arguments; see :func:`add_traceback`.

    Returns:
        The exit code.
    """
    _print_any_name()
    try:
        work(args)
    except KeyboardInterrupt as interrupt:
        if _rank('RANK', 'SLURM_PROCID') == 0:
            print(str(interrupt) or 'stopped', file=sys.stderr)
        return INTERRUPTED
    except Exception as error:
        _let_first_process_speak()
        return _report(error, args.traceback)
    return 0


def _report(error: Exception, with_traceback: bool) -> int:
    """Print what went wrong; return the exit code."""
    failed = isinstance(error, RunFailedError)
    if not failed and (isinstance(error, DivergedError) or is_mistake(error)):
        if with_traceback:
            traceback.print_exception(origin(error))
        print(f'error: {one_line(error)}', file=sys.stderr)
        return FAILED if isinstance(error, DivergedError) else MISTAKEN
    cause = error.__cause__ if failed and error.__cause__ else error
    traceback.print_exception(origin(cause))
    log = f' and in {error.log}' if isinstance(error, RunFailedError) and error.log else ''
    name = type(cause).__name__
    print(f'error: unexpected {name}; its traceback is above{log}', file=sys.stderr)
    return FAILED


def _let_first_process_speak() -> None:
    """Wait in all processes of a machine but the first: most often all have the same error.

    Meanwhile the first one reports it, and the launcher stops the others. A process that is still
    here after its time is the only one with this error, or nearly.
    """
    time.sleep(WAITS[min(_rank('LOCAL_RANK', 'SLURM_LOCALID'), 2)])


def _rank(*variables: str) -> int:
    """Read the number of this process off the variable that its launcher has set; 0 if none has."""
    found = (os.environ[name] for name in variables if os.environ.get(name, '').isdigit())
    return int(next(found, 0))


def _print_any_name() -> None:
    """Escape what a terminal cannot show, such as names of files that are not UTF-8."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors='backslashreplace')
