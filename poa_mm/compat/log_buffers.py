"""Let ``torch.load`` read the log buffers in mmengine's checkpoints.

Defect (mmengine 0.10.7 with torch >= 2.6): checkpoints hold log buffers, Python objects that
``torch.load`` refuses since ``weights_only=True`` is the default. Later distributions turn that
protection off. Fix: allow the few classes that the buffers consist of.
"""

import pickle
from collections.abc import Callable
from contextlib import AbstractContextManager

import numpy as np
import torch
from mmengine.logging import HistoryBuffer

_LOG_BUFFER_METHODS = ('min', 'max', 'current', 'mean')


def _log_buffer_method(owner: object, name: str) -> Callable[..., float]:
    """Replace ``getattr``, by which pickle refers to methods: the real one could reach eval."""
    if owner is not HistoryBuffer or name not in _LOG_BUFFER_METHODS:
        raise pickle.UnpicklingError(f'the file asks for {name!r} of {owner!r}')
    return getattr(owner, name)


LOG_BUFFER_CLASSES = [
    HistoryBuffer,
    *(getattr(HistoryBuffer, name) for name in _LOG_BUFFER_METHODS),
    np.ndarray,
    np.dtype,
    type(np.dtype(np.float64)),
    type(np.dtype(np.int64)),
    np.zeros(1).__reduce__()[0],
    np.float64(0).__reduce__()[0],
    (_log_buffer_method, 'builtins.getattr'),
]
"""All that a log buffer consists of, for ``torch.serialization.safe_globals``."""


def allowed() -> AbstractContextManager:
    """Return a context in which ``torch.load(weights_only=True)`` reads log buffers.

    On exit, torch's own context would also remove what :func:`install` has allowed.
    """
    declared = torch.serialization.get_safe_globals()
    return torch.serialization.safe_globals(
        [member for member in LOG_BUFFER_CLASSES if member not in declared]
    )


def install() -> None:
    """Let ``torch.load`` read log buffers, whoever calls it."""
    torch.serialization.add_safe_globals(LOG_BUFFER_CLASSES)
