"""Files of plain data and tensors: written whole or not at all, read without running their code."""

import zipfile
from os import PathLike
from pathlib import Path
from typing import Any

import torch

from poa_mm.compat import log_buffers

__all__ = ['check_free', 'check_sums', 'read_file', 'write_file']


def check_free(path: str | PathLike, overwrite: bool) -> None:
    """Refuse to write over a file.

    Raises:
        FileExistsError: ``path`` exists and ``overwrite`` is not set.
    """
    if Path(path).exists() and not overwrite:
        raise FileExistsError(f'{path} exists already; choose another file or ask to overwrite it')


def write_file(content: dict[str, Any], path: str | PathLike) -> None:
    """Save plain data and tensors. The file appears complete or not at all; folders are made."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f'{path.name}.partial')
    torch.save(content, partial)
    partial.replace(path)


def read_file(path: str | PathLike) -> Any:
    """What ``torch.save`` wrote, on the CPU, without running code that came with it.

    Raises:
        FileNotFoundError: No such file.
        ValueError: Not such a file, or one with more than plain data and tensors.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'no checkpoint at {path}')
    mapped = zipfile.is_zipfile(path)  # not as torch before 1.6 wrote them
    try:
        with log_buffers.allowed():
            return torch.load(path, map_location='cpu', weights_only=True, mmap=mapped)
    except OSError:  # no permission, a disk that fails: not the file's fault
        raise
    except Exception as error:  # a damaged pickle can raise anything
        reason = 'no file that torch.save has finished'
        if mapped:  # else torch says what its parser stumbled over
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f'{path} is not a checkpoint that can be read: {reason}') from error


def check_sums(path: str | PathLike) -> None:
    """Refuse a file of :func:`write_file` that has changed since: torch does not look.

    Raises:
        ValueError: A damaged file.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
    except OSError:
        raise
    except Exception as error:  # as in read_file
        raise ValueError(f'{path} is damaged: {error}') from error
    if damaged:
        raise ValueError(f'{path} is damaged: the check sum of {damaged} does not fit')
