"""Join processes by gloo, on machines without a GPU."""

import atexit
import time
from typing import Any

import torch.distributed as torch_dist

LAST_WORK_SECONDS = 0.5


def init_gloo(**options: Any) -> None:
    """Join the processes of this run, and make each exit cleanly.

    A collective returns before gloo's thread has let go of its tensors, for which the thread needs
    the interpreter. Where the interpreter is already shutting down it is torn off the thread, and
    the process aborts after a run that went well (``terminate called without an active exception``,
    https://github.com/pytorch/pytorch/pull/179291). Neither destroying the group nor waiting for
    its works helps: DDP keeps the group alive, and gloo cannot tell whether its threads are idle.
    So a process that is done stands still for a moment before it goes.

    Args:
        **options: Of ``init_process_group``, where the environment does not say how to meet.
    """
    torch_dist.init_process_group('gloo', **options)
    atexit.register(time.sleep, LAST_WORK_SECONDS)
