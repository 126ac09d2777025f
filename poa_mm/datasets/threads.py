"""Apply a function to many files in several threads."""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TypeVar

from rich.progress import Progress

PATIENCE = 3.0  # seconds until a bar shows progress
MOST_THREADS = 16

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
    with ThreadPoolExecutor(threads) as pool, ExitStack() as stack:
        for number, result in enumerate(pool.map(look, items), 1):
            yield result
            if show and progress is None and time.monotonic() - started > PATIENCE:
                progress = stack.enter_context(Progress(transient=True))
                task = progress.add_task(what, total=len(items))
            if progress is not None:
                progress.update(task, completed=number)
