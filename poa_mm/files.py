"""Write files completely or not at all, and read them without running code in them.

Tools check that files exist before they import what reads them, so torch is imported late.
"""

import errno
import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import Any

__all__ = [
    'BACKBONE_INFO',
    'BRANCHES',
    'PARTIAL',
    'SUPERNET_INFO',
    'check_file',
    'check_folder',
    'check_free',
    'check_sums',
    'check_supernet',
    'read_file',
    'replaced',
    'write_file',
]


PARTIAL = '.partial'  # after the name of a file that is being written
SUPERNET_INFO = 'supernet'  # key of a training checkpoint, written by SupernetInfoHook
BACKBONE_INFO = 'backbone'  # key of a file with one extracted backbone
# What the names of weights start with in a training checkpoint.
BRANCHES = {'teacher': 'teacher.backbone.', 'student': 'backbone.'}


def check_file(path: str | PathLike, kind: str) -> None:
    """Check that a file exists.

    Args:
        path: Where it should be.
        kind: What it should be, as in ``no checkpoint at …``.

    Raises:
        FileNotFoundError: There is none, or a folder.
    """
    path = Path(path)
    if path.is_dir():
        raise FileNotFoundError(f'no {kind} at {path}, which is a folder')
    if not path.is_file():
        raise FileNotFoundError(f'no {kind} at {path}')


def check_supernet(path: str | PathLike) -> None:
    """Check that a checkpoint, or a config (``*.py``) in its place, exists.

    Raises:
        FileNotFoundError: There is none.
    """
    check_file(path, 'config' if Path(path).suffix == '.py' else 'checkpoint')


def check_folder(path: str | PathLike) -> None:
    """Check that a folder of images exists.

    Raises:
        FileNotFoundError: There is none.
    """
    if not Path(path).expanduser().is_dir():
        raise FileNotFoundError(f'there is no image folder {path}')


def check_free(path: str | PathLike, overwrite: bool) -> None:
    """Check that writing to a path replaces nothing.

    Raises:
        FileExistsError: ``path`` exists and ``overwrite`` is not set.
    """
    if Path(path).exists() and not overwrite:
        raise FileExistsError(
            f'{path} exists already; write elsewhere, or replace it with --overwrite '
            '(in Python overwrite=True)'
        )


def write_file(content: dict[str, Any], path: str | PathLike) -> None:
    """Save plain data and tensors. The file appears complete or not at all; folders are made."""
    import torch

    with replaced(path) as partial:
        torch.save(content, partial)


@contextmanager
def replaced(path: str | PathLike) -> Iterator[Path]:
    """Write a file under another name first, then replace the old one by it in one step.

    The file is on the disk before it gets its name, so even a power cut leaves either the old or
    the new one. A link is replaced; the file that it points to is not changed.

    Args:
        path: The file; missing folders are made.

    Yields:
        Path to write to. The file is deleted if writing fails.

    Raises:
        IsADirectoryError: ``path`` is a folder.
    """
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(f'{path} is a folder; name a file')
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f'{path.name}{PARTIAL}')
    try:
        yield partial
        with partial.open('rb+') as file:
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def read_file(path: str | PathLike) -> Any:
    """Read what ``torch.save`` wrote, onto the CPU, without running code in the file.

    Raises:
        FileNotFoundError: No such file.
        ValueError: Not such a file, or one with more than plain data and tensors.
    """
    check_file(path, 'checkpoint')
    import torch

    from poa_mm.compat import log_buffers
    from poa_mm.file_kinds import kind_of_file

    mapped = zipfile.is_zipfile(path)  # not as torch before 1.6 wrote them
    try:
        with log_buffers.allowed():
            return torch.load(path, map_location='cpu', weights_only=True, mmap=mapped)
    except Exception as error:  # a damaged pickle can raise anything
        # No permission, a disk that fails: not the file's fault. But torch seeks beyond the start
        # of a small file that was cut off.
        if isinstance(error, OSError) and error.errno != errno.EINVAL:
            raise
        reason = 'no file that torch.save has finished'
        if mapped:  # else torch says what its parser stumbled over
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        kind = kind_of_file(path)
        raise ValueError(
            f'{path} is not a checkpoint that can be read: {kind or reason}'
        ) from error


def check_sums(path: str | PathLike) -> None:
    """Check that a file of :func:`write_file` is undamaged, which torch does not check.

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
