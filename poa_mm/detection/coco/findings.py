"""What is found in an annotation file: faults that end a run, and repairs that are told once."""

import functools
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.logging import MMLogger

Entry = dict[str, Any]  # an image, a category or an annotation
MAX_SHOWN = 60  # characters of a value


class Findings:
    """Collects what is wrong with a file, so that one line can tell all of it.

    Args:
        path: The file.
        content: What is in it, for the numbers of images, categories and annotations.
    """

    def __init__(self, path: str, content: Mapping[str, Any]) -> None:
        self.path = path
        self._content = content
        self._faults: list[str] = []
        self._notes: list[str] = []

    def fault(self, part: str, what: str, entries: Sequence[Entry], shown: str = '') -> None:
        """Remember what cannot be used.

        Args:
            part: ``'images'``, ``'categories'`` or ``'annotations'``.
            what: The fault, in words.
            entries: Those of ``part`` that have it; without any there is nothing to remember.
            shown: Key of a value that tells more of the first of them.
        """
        if entries:
            self._faults.append(self._line(part, what, entries, shown))

    def note(self, part: str, what: str, entries: Sequence[Entry], shown: str = '') -> None:
        """Remember what has been repaired, or is better known; arguments as of :meth:`fault`."""
        if entries:
            self._notes.append(self._line(part, what, entries, shown))

    def stop_at_faults(self) -> None:
        """End with all faults so far.

        Raises:
            ValueError: There are faults.
        """
        if self._faults:
            raise ValueError(f'{self.path}: {"; ".join(self._faults)}')

    def conclude(self) -> None:
        """End with all faults; without any, warn of all notes in one line.

        Raises:
            ValueError: There are faults.
        """
        self.stop_at_faults()
        if self._notes:
            warn_once(f'{self.path}: {"; ".join(self._notes)}')

    def _line(self, part: str, what: str, entries: Sequence[Entry], shown: str) -> str:
        total, first = len(self._content[part]), entries[0]
        detail = f' ({shown}: {_short(first[shown])})' if shown in first else ''
        if part == 'images' and not shown and 'file_name' in first:
            detail = f' ({_short(first["file_name"])})'
        number = _short(first['id']) if 'id' in first else 'none'
        return f'{what}: {len(entries)} of {total} {part}, the first has id {number}{detail}'


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= MAX_SHOWN else f'{text[:MAX_SHOWN]}…'


def warn_once(message: str) -> None:
    """Log a warning, once in a run: a data set and its metric read one file."""
    _warn(MMLogger.get_current_instance().instance_name, message)


@functools.lru_cache(maxsize=256)
def _warn(logger: str, message: str) -> None:
    MMLogger.get_instance(logger).log(logging.WARNING, message)
