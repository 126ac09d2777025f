"""Tell mistakes of a user from bugs, and say either in one line."""

import dis
import re
import sys
from os import PathLike

from poa_mm.arguments import explain

WORKER_ERROR = re.compile(r'^[\w.]+Error: ')  # before the text, in a traceback


class InputError(ValueError):
    """Something that the user has given is wrong, even if it shows in the middle of a run."""


class DivergedError(RuntimeError):
    """Training has diverged: neither a bug nor a single wrong setting."""


class RunFailedError(Exception):
    """An error that is no mistake of the user ended a run; ``__cause__`` is that error.

    Args:
        log: The log file, which holds the traceback; ``None`` if there is none.
    """

    def __init__(self, log: str | None) -> None:
        super().__init__(log)
        self.log = log


def is_mistake(error: Exception) -> bool:
    """Tell whether the user can fix an error by other arguments, settings or files.

    True for

    - an :class:`InputError`, and an ``OSError``: a file is missing, or cannot be read or written;
    - a ``ValueError``, ``TypeError`` or ``ImportError`` from a ``raise`` statement: somebody has
      checked something, and the message says what is expected. Python's own errors, such as
      ``None + 1``, are bugs. So are errors of data loader processes, which torch raises again;
    - an unknown class, or an unknown argument of one, that a config names.

    Every other error is a bug, such as a ``KeyError`` from a missing key of a dict.
    """
    if isinstance(error, InputError | OSError):
        return True
    if isinstance(error, KeyError | TypeError) and explain(error) is not None:
        return True
    return isinstance(error, ValueError | TypeError | ImportError) and _is_checked(error)


def origin(error: BaseException) -> BaseException:
    """Find the TypeError behind one that repeats it; any other error is its own origin.

    mmengine raises a hook's TypeError again with the name of the hook, and hides where it came up.
    """
    before = error.__context__
    if type(error) is TypeError and error.__suppress_context__ and type(before) is TypeError:
        return origin(before)
    return error


def _is_checked(error: Exception) -> bool:
    """Tell whether a ``raise`` statement outside of the standard library raised an error."""
    last = origin(error).__traceback__
    if last is None or 'Traceback' in str(error):
        return False
    while last.tb_next is not None:
        last = last.tb_next
    code = last.tb_frame.f_code.co_code
    module = str(last.tb_frame.f_globals.get('__name__')).partition('.')[0]
    is_raise = dis.opname[code[last.tb_lasti]] == 'RAISE_VARARGS'
    return is_raise and module not in sys.stdlib_module_names


def printable(name: str | PathLike) -> str:
    r"""Write a file's name as text that every log, terminal and JSON file takes.

    Names on disk are bytes. Python reads bytes that are not UTF-8 as lone surrogates, which cannot
    be written, and a line break would split a message. Both are escaped:

    >>> print(printable('a\nb.jpg'))
    a\nb.jpg
    """
    text = str(name)
    if text.isprintable():
        return text
    return ''.join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def one_line(error: Exception) -> str:
    """Write an error's message in one line.

    The message of an error in a data loader process stands below that process's traceback.
    """
    explained = explain(error) if isinstance(error, KeyError | TypeError) else None
    # A KeyError's text is the repr of its key: here a sentence, and advice on mmengine's pages.
    text = str(error.args[0]).partition(' Please')[0] if type(error) is KeyError else str(error)
    text = explained or text
    lines = text.strip().splitlines() or [type(error).__name__]
    if any('Traceback' in line for line in lines):
        return WORKER_ERROR.sub('', lines[-1])
    return ' '.join(' '.join(lines).split())
