"""Have mmdet's data sets and metrics check the annotation files that they read."""

from collections.abc import Iterator, Mapping
from copy import deepcopy
from importlib import import_module
from typing import Any

from mmengine.registry import DefaultScope

CHECKED = {'CocoDataset': 'CheckedCocoDataset', 'CocoMetric': 'CheckedCocoMetric'}


def with_checked_files(part: Any) -> Any:
    """Put our checking classes in place of mmdet's plain ``CocoDataset`` and ``CocoMetric``.

    mmdet's classes do not check what they read; those of :mod:`poa_mm.detection.coco` do. Also
    replaced are data sets within wrappers. Classes derived from mmdet's stay as they are.

    Args:
        part: Config of a loader or of metrics, or what has been built of one.

    Returns:
        A copy, if there is something to replace.
    """
    if not any(_is_plain(found) for found in _typed(part)):
        return part
    import_module('poa_mm.detection.coco')  # mmdet is optional
    part = deepcopy(part)
    for found in _typed(part):
        if _is_plain(found):
            found['type'] = f'mmdet.{CHECKED[_name(found)]}'
    return part


def _typed(value: Any) -> Iterator[Any]:
    """Yield all dicts with a type in a part of a config."""
    if isinstance(value, Mapping):
        if 'type' in value:
            yield value
        for inner in value.values():
            yield from _typed(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _typed(inner)


def _is_plain(found: Any) -> bool:
    """Tell whether this is mmdet's; mmpose and others have classes of the same names."""
    kind = found['type']
    if not isinstance(kind, str):
        return kind.__name__ in CHECKED and kind.__module__.startswith('mmdet.')
    scope = DefaultScope.get_current_instance()
    default = found.get('_scope_', scope.scope_name if scope is not None else None)
    library, _, name = kind.rpartition('.')
    return name in CHECKED and (library or default) == 'mmdet'


def _name(found: Any) -> str:
    kind = found['type']
    return kind.rpartition('.')[2] if isinstance(kind, str) else kind.__name__
