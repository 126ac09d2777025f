"""Import mmpretrain's models without mmdet's.

Defect (all versions of mmpretrain): importing its models imports all of mmdet's for one class, and
with them matplotlib.pyplot, scikit-learn and much of scipy: 40 % of the time to the first backbone,
in runs without detection. The class, ``ResLayerExtraNorm``, is a part of detectors; without mmdet,
mmpretrain leaves it out. Fix: define it when mmdet's models are imported.
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
    """Postpone the class that needs mmdet's models until those are imported."""
    around_import(MODULE, _without_detection)
    after_import(DETECTION, _define)


@contextmanager
def _without_detection() -> Iterator[None]:
    """Let an import of mmdet's models fail with an ImportError, unless they are imported."""
    if DETECTION in sys.modules:
        yield
        return
    sys.modules[DETECTION] = None  # type: ignore[assignment] # the import system's way to say so
    try:
        yield
    finally:
        del sys.modules[DETECTION]


def _define() -> None:
    """Let mmpretrain define and register the class."""
    module = sys.modules.get(MODULE)
    if module is not None and getattr(module, NAME, None) is None:
        importlib.reload(module)
        setattr(sys.modules[PACKAGE], NAME, getattr(module, NAME))
