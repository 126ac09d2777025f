"""What of a run's log the terminal shows: what matters, in plain words. The log file has all.

mmengine's logger writes the same to both: 330 lines about compiler flags, hooks and the config come
before the first word of a run, and an error stands below them.
"""

import io
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

__all__ = ['Bar', 'is_terminal', 'prints_logged', 'quiet', 'show_results', 'tell']

# Warnings of the libraries about their own code.
ABOUT_LIBRARIES = (
    '"FileClient" will be deprecated',
    '"HardDiskBackend" is the alias',
    'The prefix is not set in metric class',
)
LOGGER_HOOK = 'logger_hook'  # the module that logs losses and metrics
RESULTS = ('after_val_epoch', 'after_test_epoch')  # its functions for metrics


def tell(logger: logging.Logger, text: str, level: int = logging.INFO) -> None:
    """Log something that the terminal shows too, as it is unless it is a warning."""
    logger.log(level, text, extra={'told': True})


def quiet(logger: logging.Logger) -> None:
    """Have the logger's terminal show warnings, errors, losses, metrics and what is told.

    Args:
        logger: Of mmengine, with a handler for the terminal and, on rank 0, one for the file.
    """
    for handler in _terminals(logger):
        if not any(isinstance(known, _Filter) for known in handler.filters):
            handler.addFilter(_Filter())
            handler.setFormatter(_Formatter(handler.formatter))


def show_results(logger: logging.Logger, everything: bool) -> None:
    """Whether the terminal shows all, as while the libraries' evaluators print their tables."""
    for handler in _terminals(logger):
        for known in handler.filters:
            if isinstance(known, _Filter):
                known.everything = everything


@contextmanager
def prints_logged(logger: logging.Logger) -> Iterator[None]:
    """Have the log file, not the terminal, take what libraries print: pycocotools, above all."""
    writer = _LogWriter(logger)
    with redirect_stdout(writer):
        yield
    writer.write('\n')


class _LogWriter(io.StringIO):
    """A standard output whose lines are logged."""

    def __init__(self, logger: logging.Logger) -> None:
        super().__init__()
        self._logger, self._line = logger, ''

    def write(self, text: str) -> int:
        *lines, self._line = (self._line + text).split('\n')
        for line in filter(str.strip, lines):
            self._logger.info(line)
        return len(text)


def is_terminal() -> bool:
    """Whether a person looks at the standard output."""
    return Console().is_terminal


def _terminals(logger: logging.Logger) -> list[logging.StreamHandler]:
    return [
        handler
        for handler in logger.handlers
        if isinstance(handler, logging.StreamHandler)
        and not isinstance(handler, logging.FileHandler)
    ]


class _Filter(logging.Filter):
    """Passes what the terminal shows."""

    everything = False
    has_bar = False  # which shows the losses

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno > logging.INFO:
            return not str(record.msg).startswith(ABOUT_LIBRARIES)
        if self.everything or hasattr(record, 'told'):
            return True
        if record.module != LOGGER_HOOK or str(record.msg).startswith('Exp name'):
            return False
        return record.funcName in RESULTS or not self.has_bar


class _Formatter(logging.Formatter):
    """Leaves what is told as it is; all else, warnings too, is formatted as before."""

    def __init__(self, other: logging.Formatter | None) -> None:
        super().__init__()
        self._other = other or logging.Formatter()

    def format(self, record: logging.LogRecord) -> str:
        if record.levelno > logging.INFO or not hasattr(record, 'told'):
            return self._other.format(record)
        return record.getMessage()  # without time and level


class Bar:
    """A bar at the foot of the terminal, above which the log goes on.

    It draws itself only when it is told to, in this thread: processes of a data loader are forked
    from it, and one that inherits the lock of another thread would wait for ever.

    Args:
        logger: Whose terminal it is.
    """

    def __init__(self, logger: logging.Logger) -> None:
        self._handlers = _terminals(logger)
        self._streams = [handler.stream for handler in self._handlers]
        self._progress = Progress(
            TextColumn('{task.description}'),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn('{task.fields[text]}'),
            TimeRemainingColumn(),
            console=Console(),
            auto_refresh=False,
            transient=True,
        )
        self._tasks: dict[str, Any] = {}
        self._progress.start()
        for handler in self._handlers:
            handler.setStream(sys.stdout)  # which the bar has taken over
        self._set_filters(has_bar=True)

    def show(self, name: str, done: int, total: int, text: str = '') -> None:
        """Draw how far something is; it vanishes when it is done."""
        if name not in self._tasks:
            self._tasks[name] = self._progress.add_task(name, total=total, completed=done, text='')
        self._progress.update(self._tasks[name], completed=done, total=total, text=text)
        self._progress.refresh()

    def remove(self, name: str) -> None:
        """Stop drawing something."""
        if name in self._tasks:
            self._progress.remove_task(self._tasks.pop(name))
            self._progress.refresh()

    def stop(self) -> None:
        """Give the terminal back."""
        self._set_filters(has_bar=False)
        self._progress.stop()
        for handler, stream in zip(self._handlers, self._streams, strict=True):
            handler.setStream(stream)

    def _set_filters(self, has_bar: bool) -> None:
        for handler in self._handlers:
            for known in handler.filters:
                if isinstance(known, _Filter):
                    known.has_bar = has_bar
