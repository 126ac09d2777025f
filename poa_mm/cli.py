"""What the tools share: options, and one line for what is wrong with them.

A tool reads its arguments, checks the files that they name, and only then imports what it works
with, which takes seconds. So nothing here imports torch or OpenMMLab until it is called.
"""

import argparse
import io
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from poa_mm.errors import one_line
from poa_mm.files import check_folder

if TYPE_CHECKING:
    import torch

__all__ = [
    'add_cfg_options',
    'add_device',
    'add_labelled_data',
    'add_launcher',
    'add_overwrite',
    'beside',
    'check_labelled_data',
    'default_device',
    'exit_on_error',
    'read_cfg_options',
    'run',
]

USER_ERRORS = (OSError, ValueError)
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
    """Settings by key, with values as mmengine reads them: numbers, lists, truth values, text.

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
    """A GPU, if there is one."""
    import torch

    return torch.device('cuda' if torch.cuda.is_available() else 'cpu')


def add_launcher(parser: argparse.ArgumentParser) -> None:
    """Add ``--launcher``: who has started the processes of this run."""
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm'], default='none')


def add_labelled_data(parser: argparse.ArgumentParser, text: str) -> None:
    """Add ``--train-data`` and ``--test-data``; see :func:`check_labelled_data`.

    Args:
        parser: Of a tool that evaluates.
        text: What the images of the first one are for.
    """
    parser.add_argument('--train-data', metavar='DIR', help=text)
    parser.add_argument('--test-data', metavar='DIR', help='images to classify, likewise')


def check_labelled_data(args: argparse.Namespace) -> bool:
    """Check the folders of the user's own images; whether there are any.

    Raises:
        FileNotFoundError: No such folder.
        NotADirectoryError: It is a file.
        ValueError: One of the two lacks.
    """
    given = {'--train-data': args.train_data, '--test-data': args.test_data}
    missing = [option for option, folder in given.items() if folder is None]
    if len(missing) == 1:
        raise ValueError(f'{missing[0]} lacks: --train-data and --test-data belong together')
    for folder in given.values():
        if folder is not None:
            check_folder(folder)
    return not missing


def add_overwrite(parser: argparse.ArgumentParser) -> None:
    """Add ``--overwrite``, which :func:`poa_mm.files.check_free` advises."""
    parser.add_argument('--overwrite', action='store_true', help='replace what exists already')


def beside(checkpoint: Path, what: str, suffix: str = '') -> Path:
    """Where a tool writes by default: beside the checkpoint, and named after it.

    Args:
        checkpoint: Such as ``run/iter_1000.pth``.
        what: What is written, such as ``knn``.
        suffix: Of a file, such as ``.csv``.

    Returns:
        Such as ``run/knn_iter_1000``.
    """
    return checkpoint.parent / f'{what}_{checkpoint.stem}{suffix}'


def run(
    work: Callable[[argparse.Namespace], None],
    args: argparse.Namespace,
    errors: tuple[type[Exception], ...] = USER_ERRORS,
) -> int:
    """Do the work of a tool.

    Args:
        work: What to do.
        args: Its arguments.
        errors: What is the user's mistake: one line on the standard error stream.

    Returns:
        The exit code: 0, or 2 after such a mistake.
    """
    _print_any_name()
    try:
        work(args)
    except errors as error:
        print(f'error: {one_line(error)}', file=sys.stderr)
        return 2
    return 0


@contextmanager
def exit_on_error() -> Iterator[None]:
    """End the program with ``error: …`` for files that are not there."""
    _print_any_name()
    try:
        yield
    except USER_ERRORS as error:
        sys.exit(f'error: {one_line(error)}')


def _print_any_name() -> None:
    """Escape what a terminal cannot show, such as names of files that are not UTF-8."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors='backslashreplace')
