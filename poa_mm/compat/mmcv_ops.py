"""Replace ``mmcv._ext`` where mmcv was installed without compiled operators.

Defect (all source distributions): pip's build isolation hides torch from mmcv's ``setup.py``, so
``pip install onedl-mmcv`` silently builds a pure-Python mmcv. ``import mmcv.ops`` then fails,
because ``mmcv._ext`` is missing, and ``mmdet.models`` with it, although this package's detectors
use only two of its operators, which torchvision has for CPU and CUDA.

Fix: the *last* finder of the import system offers :mod:`poa_mm.compat._mmcv_ext` under the missing
name. Compiled operators are found first, and a broken extension fails with its own error.
"""

import importlib
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path
from types import ModuleType

__all__ = ['install']

OPERATORS = ('nms', 'batched_nms', 'roi_align')  # what the replacement has


class _StandInFinder(MetaPathFinder):
    """Find ``mmcv._ext`` in this package, and nothing else."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        if fullname != 'mmcv._ext':
            return None
        return spec_from_file_location(fullname, Path(__file__).with_name('_mmcv_ext.py'))


def install() -> None:
    """Let ``mmcv._ext`` fall back to torchvision if mmcv has no compiled operators."""
    if not any(isinstance(finder, _StandInFinder) for finder in sys.meta_path):
        sys.meta_path.append(_StandInFinder())
    _replace_what_raises()


def _replace_what_raises() -> None:
    """Set the operators in modules of mmdet that were imported before.

    OneDL's modules define functions in their place that raise.
    """
    for name, module in list(sys.modules.items()):
        if not name.startswith('mmdet.'):
            continue
        for operator in OPERATORS:
            if getattr(vars(module).get(operator), '__module__', None) == name:
                setattr(module, operator, getattr(importlib.import_module('mmcv.ops'), operator))
