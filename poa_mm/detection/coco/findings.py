"""Collect the faults of an annotation file, which end a run, and repairs, which are logged."""

import functools
import logging
from collections.abc import Sequence
from typing import Any

from mmengine.logging import MMLogger

Entry = dict[str, Any]  # an image, a category or an annotation, as JSON gives it
Content = dict[str, list[Entry]]  # of a file: images, categories, annotations
MAX_SHOWN = 60  # characters of a value


class Findings:
    """Collects faults and repairs of a file, to report all in one line.

    Args:
        path: Name of the file in messages.
        content: Its content, for the numbers of images, categories and annotations.
    """

    def __init__(self, path: str, content: Content) -> None:
        self.path = path
        self._content = content
        self._faults: list[str] = []
        self._notes: list[str] = []

    def fault(self, part: str, what: str, entries: Sequence[Entry], shown: str = '') -> None:
        """Record a fault.

        Args:
            part: ``'images'``, ``'categories'`` or ``'annotations'``.
            what: The fault, in words.
            entries: Those of ``part`` that have it; if empty, nothing is recorded.
            shown: Key whose value of the first entry is shown.
        """
        if entries:
            self._faults.append(self._line(part, what, entries, shown))

    def note(self, part: str, what: str, entries: Sequence[Entry], shown: str = '') -> None:
        """Record a repair or another remark; arguments as of :meth:`fault`."""
        if entries:
            self._notes.append(self._line(part, what, entries, shown))

    def stop_at_faults(self) -> None:
        """Raise if there are faults so far.

        Raises:
            ValueError: There are faults.
        """
        if self._faults:
            raise ValueError(f'{self.path}: {"; ".join(self._faults)}')

    def conclude(self) -> None:
        """Raise if there are faults; otherwise warn of all repairs in one line.

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


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= MAX_SHOWN else f'{text[:MAX_SHOWN]}…'


def warn_once(message: str) -> None:
    """Log a warning once in a run: a data set and its metric read the same file."""
    _warn(MMLogger.get_current_instance().instance_name, message)


@functools.lru_cache(maxsize=256)
def _warn(logger: str, message: str) -> None:
    MMLogger.get_instance(logger).log(logging.WARNING, message)
