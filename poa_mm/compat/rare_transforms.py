"""Import mmdet's data sets without libraries that few of their transforms use.

Defect: importing any data set imports imagecorruptions (all versions of mmdet) for one transform,
and imgaug (onedl-mmdetection 3.5 and later) for those of lane detection; both import numba, and
every run of a detector waits for them. Fix: import them when a transform first uses them.
"""

import functools
import importlib
import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

from poa_mm.compat.on_import import around_import

__all__ = ['install']

# By module of mmdet: what it imports, packages before what they hold.
POSTPONED = {
    'mmdet.datasets.transforms.transforms': ('imagecorruptions',),
    'mmdet.datasets.transforms.generate_line': (
        'imgaug',
        'imgaug.augmenters',
        'imgaug.augmentables',
        'imgaug.augmentables.lines',
        'imgaug.augmentables.segmaps',
    ),
}


def install() -> None:
    """Postpone the imports."""
    for module, names in POSTPONED.items():
        around_import(module, functools.partial(_with_stand_ins, names))


class _Later:
    """A class or function of a library, imported when it is called."""

    def __init__(self, module: str, name: str) -> None:
        self._module, self._name = module, name

    def __call__(self, *args: object, **kwargs: object) -> object:
        return getattr(importlib.import_module(self._module), self._name)(*args, **kwargs)


class _StandIn(ModuleType):
    """A module of which every name is postponed."""

    def __getattr__(self, name: str) -> _Later:
        if name.startswith('__'):  # what the import system asks a module for
            raise AttributeError(name)
        return _Later(self.__name__, name)


@contextmanager
def _with_stand_ins(names: tuple[str, ...]) -> Iterator[None]:
    """Have stand-ins for the modules of a library, if it is installed and not imported."""
    if names[0] in sys.modules or importlib.util.find_spec(names[0]) is None:
        yield
        return
    stand_ins = {name: _StandIn(name) for name in names}
    for name, module in stand_ins.items():
        parent, _, own = name.rpartition('.')
        if parent:
            setattr(stand_ins[parent], own, module)
    sys.modules.update(stand_ins)
    try:
        yield
    finally:
        for name in names:
            del sys.modules[name]
