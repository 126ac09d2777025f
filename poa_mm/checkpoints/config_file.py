"""Read config files; whatever is wrong with one becomes one line that names the file."""

from os import PathLike
from pathlib import Path

from mmengine.config import Config

from poa_mm.files import check_file

SUFFIXES = ('.py', '.json', '.yaml', '.yml')


def read_config(path: str | PathLike) -> Config:
    """Read a config file and those it is based on.

    Raises:
        FileNotFoundError: No such file, or none of those it is based on.
        ValueError: A file of another kind, or one that does not run.
    """
    check_file(path, 'config')
    if Path(path).suffix not in SUFFIXES:
        raise ValueError(f'{path} is no config, whose name ends in {" or ".join(SUFFIXES)}')
    try:
        return Config.fromfile(path)
    except FileNotFoundError as error:
        raise FileNotFoundError(f'{path} needs {error.filename}, which is not there') from error
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else ''
        reason = reason.replace('<unknown>, ', '')  # as mmengine calls the file to Python
        raise ValueError(
            f'{path} cannot be read as a config: {type(error).__name__}: {reason}'
        ) from error
