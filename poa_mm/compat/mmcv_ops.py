"""A module in place of ``mmcv._ext`` where mmcv was installed without its compiled operators.

The defect: under pip's build isolation torch is not visible to mmcv's ``setup.py``, so
``pip install onedl-mmcv`` quietly builds a pure-Python mmcv. ``import mmcv.ops`` then fails for
want of ``mmcv._ext``, and ``mmdet.models`` with it, although this package's detectors use two of
its operators only, both of which torchvision has for CPU and CUDA.

The mend: :mod:`poa_mm.compat._mmcv_ext` is offered under the missing name by the *last* finder of
the import system. Compiled operators are found before it and win, and an extension that is there
but broken fails with its own error.
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

OPERATORS = ('nms', 'batched_nms', 'roi_align')  # what the stand-in has


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
    """Let ``mmcv._ext`` fall back on torchvision; without effect where mmcv has compiled ops."""
    if not any(isinstance(finder, _StandInFinder) for finder in sys.meta_path):
        sys.meta_path.append(_StandInFinder())
    _replace_what_raises()


def _replace_what_raises() -> None:
    """Give modules of mmdet that were imported first the operators that they had to do without.

    OneDL's define functions in their place, which raise.
    """
    for name, module in list(sys.modules.items()):
        if not name.startswith('mmdet.'):
            continue
        for operator in OPERATORS:
            if getattr(vars(module).get(operator), '__module__', None) == name:
                setattr(module, operator, getattr(importlib.import_module('mmcv.ops'), operator))
