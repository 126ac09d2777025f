"""Show on the terminal what matters of a run's log; the log file has all.

mmengine's logger writes the same to both: 330 lines about compiler flags, hooks and the config come
before the first result, and hide errors and warnings.
"""

import io
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from poa_mm.errors import origin

__all__ = [
    'Bar',
    'is_terminal',
    'log_traceback',
    'prints_logged',
    'quiet',
    'show_results',
    'tell',
]

# Warnings of the libraries about their own code.
ABOUT_LIBRARIES = (
    '"FileClient" will be deprecated',
    '"HardDiskBackend" is the alias',
    'The prefix is not set in metric class',
)
LOGGER_HOOK = 'logger_hook'  # the module that logs losses and metrics
RESULTS = ('after_val_epoch', 'after_test_epoch')  # its functions for metrics


def tell(logger: logging.Logger, text: str, level: int = logging.INFO) -> None:
    """Log something that the terminal shows, too, without time and level unless it is a warning."""
    logger.log(level, text, extra={'told': True})


def log_traceback(logger: logging.Logger, error: Exception) -> str | None:
    """Write the traceback of an error to the log file only; return its path, if there is one."""
    files = [handler for handler in logger.handlers if isinstance(handler, logging.FileHandler)]
    came_up = origin(error)
    what = (type(came_up), came_up, came_up.__traceback__)
    text = 'the run ended with an error'
    record = logger.makeRecord(logger.name, logging.ERROR, __file__, 0, text, (), what)
    for handler in files:
        handler.handle(record)
    return files[0].baseFilename if files else None


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
    """Set whether the terminal shows all, as while evaluators print their tables."""
    for handler in _terminals(logger):
        for known in handler.filters:
            if isinstance(known, _Filter):
                known.everything = everything


@contextmanager
def prints_logged(logger: logging.Logger) -> Iterator[None]:
    """Send what libraries print, such as pycocotools, to the log file, not to the terminal."""
    writer = _LogWriter(logger)
    with redirect_stdout(writer):
        yield
    writer.write('\n')


class _LogWriter(io.StringIO):
    """Log the lines that are written to it."""

    def __init__(self, logger: logging.Logger) -> None:
        super().__init__()
        self._logger, self._line = logger, ''

    def write(self, text: str) -> int:
        *lines, self._line = (self._line + text).split('\n')
        for line in filter(str.strip, lines):
            self._logger.info(line)
        return len(text)


def is_terminal() -> bool:
    """Tell whether the standard output is a terminal."""
    return Console().is_terminal


def _terminals(logger: logging.Logger) -> list[logging.StreamHandler]:
    return [
        handler
        for handler in logger.handlers
        if isinstance(handler, logging.StreamHandler)
        and not isinstance(handler, logging.FileHandler)
    ]


class _Filter(logging.Filter):
    """Pass what the terminal shows."""

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
    """Leave what is told as it is; format all else, warnings too, as before."""

    def __init__(self, other: logging.Formatter | None) -> None:
        super().__init__()
        self._other = other or logging.Formatter()

    def format(self, record: logging.LogRecord) -> str:
        if record.levelno > logging.INFO or not hasattr(record, 'told'):
            return self._other.format(record)
        return record.getMessage()  # without time and level


class Bar:
    """Draw progress bars at the foot of the terminal, below the log.

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
        """Draw the progress of something; its bar vanishes when it is done."""
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
        """Remove all bars."""
        self._set_filters(has_bar=False)
        self._progress.stop()
        for handler, stream in zip(self._handlers, self._streams, strict=True):
            handler.setStream(stream)

    def _set_filters(self, has_bar: bool) -> None:
        for handler in self._handlers:
            for known in handler.filters:
                if isinstance(known, _Filter):
                    known.has_bar = has_bar
