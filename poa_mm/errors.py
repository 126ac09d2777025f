"""Faults of what a user gives, and names of files as text."""

from os import PathLike


class InputError(ValueError):
    """What the user has given is wrong, even if that comes up in the middle of a run."""


def printable(name: str | PathLike) -> str:
    """A file's name as text that any log, terminal and JSON file takes.

    Names on disk are bytes. Python stands lone surrogates in for those that are not UTF-8, and
    raises where they are written; a line break would split a message. Both come back as escapes:
    ``caf\\udce9.jpg``, ``a\\nb.jpg``.
    """
    text = str(name)
    if text.isprintable():
        return text
    return ''.join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)
