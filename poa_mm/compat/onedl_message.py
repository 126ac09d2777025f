"""Hide the message "Could not import OneDL".

Defect (OneDL's mmpretrain, mmdet and mmseg): importing their data sets prints it up to twice each.
It is about an unrelated product of the maintainers, and meant for debugging, but ``print_log``
without a logger prints at any level. Fix: a ``print_log`` without that message; the libraries look
it up when they call it.
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
    """Replace ``print_log``; all other messages are printed and logged as before."""
    logging.print_log = _print_log_without_message
