"""Let one process do the work of all."""

from collections.abc import Callable
from typing import TypeVar

from mmengine import dist

T = TypeVar('T')


def on_first_rank(work: Callable[[], T]) -> T:
    """Do something on the first process; return its result, or raise its error, on all.

    Args:
        work: What to do. Result and errors must be picklable.

    Raises:
        Exception: What ``work`` has raised, on every process.
    """
    outcome: list = [None, None]
    if dist.is_main_process():
        try:
            outcome[0] = work()
        except Exception as error:  # whatever it is, the others must not wait for ever
            outcome[1] = error
    dist.broadcast_object_list(outcome)
    result, failure = outcome
    if failure is not None:
        raise failure
    return result
