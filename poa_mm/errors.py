"""Faults of what a user gives, and names of files as text."""

import re
from os import PathLike

from poa_mm.arguments import explain

WORKER_ERROR = re.compile(r'^[\w.]+Error: ')  # before the text, in a traceback


class InputError(ValueError):
    """What the user has given is wrong, even if that comes up in the middle of a run."""


def printable(name: str | PathLike) -> str:
    r"""A file's name as text that any log, terminal and JSON file takes.

    Names on disk are bytes. Python stands lone surrogates in for those that are not UTF-8, and
    raises where they are written; a line break would split a message. Both come back as escapes:
    ``caf\udce9.jpg``, ``a\nb.jpg``.
    """
    text = str(name)
    if text.isprintable():
        return text
    return ''.join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def one_line(error: Exception) -> str:
    """The text of an error; one from a loader process comes after that process's traceback."""
    explained = explain(error) if isinstance(error, KeyError | TypeError) else None
    # A KeyError's text is the repr of its key: here a sentence, and advice on mmengine's pages.
    text = str(error.args[0]).partition(' Please')[0] if type(error) is KeyError else str(error)
    text = explained or text
    lines = text.strip().splitlines() or [type(error).__name__]
    if any('Traceback' in line for line in lines):
        return WORKER_ERROR.sub('', lines[-1])
    return ' '.join(' '.join(lines).split())
