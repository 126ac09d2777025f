"""Importing mmpretrain's models imports all of mmdet's, for the sake of one class.

With them come matplotlib.pyplot, scikit-learn and much of scipy: 40 % of the time until the first
backbone is there, in runs that detect nothing. The class, ``ResLayerExtraNorm``, is a part of
detectors, and mmpretrain goes without it where there is no mmdet. Here it waits for mmdet's models.
"""

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from poa_mm.compat.on_import import after_import, around_import

__all__ = ['install']

DETECTION = 'mmdet.models'
PACKAGE = 'mmpretrain.models.utils'
MODULE = f'{PACKAGE}.res_layer_extra_norm'
NAME = 'ResLayerExtraNorm'


def install() -> None:
    """Let mmpretrain's models do without mmdet's until those are imported."""
    around_import(MODULE, _without_detection)
    after_import(DETECTION, _define)


@contextmanager
def _without_detection() -> Iterator[None]:
    """Importing mmdet's models fails with an ImportError, unless they are there already."""
    if DETECTION in sys.modules:
        yield
        return
    sys.modules[DETECTION] = None  # type: ignore[assignment] # the import system's way to say so
    try:
        yield
    finally:
        del sys.modules[DETECTION]


def _define() -> None:
    """Have mmpretrain define and register the class, now that its base is there."""
    module = sys.modules.get(MODULE)
    if module is not None and getattr(module, NAME, None) is None:
        importlib.reload(module)
        setattr(sys.modules[PACKAGE], NAME, getattr(module, NAME))
