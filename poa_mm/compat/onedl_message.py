"""Importing the data sets of OneDL's libraries prints "Could not import OneDL" to every user.

It means an unrelated product of the distribution's maintainers. mmpretrain, mmdet and mmseg say so
up to twice each, by ``print_log`` at debug level, but without a logger, which prints whatever the
level. They look ``print_log`` up in the moment of saying it.
"""

import functools
from typing import Any

from mmengine import logging

__all__ = ['install']

MESSAGE = 'Could not import OneDL'
_print_log = logging.print_log


@functools.wraps(_print_log)
def _print_log_without_message(msg: Any, *args: Any, **kwargs: Any) -> None:
    if not str(msg).startswith(MESSAGE):
        _print_log(msg, *args, **kwargs)


def install() -> None:
    """Leave that line out; all else is printed and logged as before."""
    logging.print_log = _print_log_without_message
