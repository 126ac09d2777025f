"""Apply a function to many files in several threads."""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from threading import get_native_id
from typing import TypeVar

from rich.progress import Progress

PATIENCE = 3.0  # seconds until a bar shows progress
MOST_THREADS = 16
LAST_WORDS = 5.0  # seconds that a thread may take to end

Item = TypeVar('Item')
Found = TypeVar('Found')


def each(
    look: Callable[[Item], Found], items: Sequence[Item], what: str, show: bool = True
) -> Iterator[Found]:
    """Apply a function to all items, and yield the results in order.

    Args:
        look: What to do with an item, in any thread.
        items: The items.
        what: They are, beside a bar that shows if it takes long.
        show: Whether there may be a bar.
    """
    started = time.monotonic()
    threads = min(MOST_THREADS, os.cpu_count() or 1)
    progress: Progress | None = None
    numbers: list[int] = []
    with ExitStack() as stack:
        stack.callback(_wait_for_end, numbers)
        pool = stack.enter_context(
            ThreadPoolExecutor(threads, initializer=lambda: numbers.append(get_native_id()))
        )
        for number, result in enumerate(pool.map(look, items), 1):
            yield result
            if show and progress is None and time.monotonic() - started > PATIENCE:
                progress = stack.enter_context(Progress(transient=True))
                task = progress.add_task(what, total=len(items))
            if progress is not None:
                progress.update(task, completed=number)


def _wait_for_end(threads: Sequence[int]) -> None:
    """Wait until the operating system's threads have ended, which are joined already.

    Before Python 3.13 a joined thread may still release what libraries have allocated for it.
    OpenCV locks a mutex to do so; a process that is forked at this moment, such as one that loads
    data, would find it locked and wait for ever at its first image.
    """
    deadline = time.monotonic() + LAST_WORDS
    tasks = Path('/proc/self/task')  # of Linux; elsewhere nothing is there to wait for
    while any((tasks / str(number)).exists() for number in threads):
        if time.monotonic() > deadline:
            return
        time.sleep(0.0005)
