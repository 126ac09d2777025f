"""What lies within data sets and transforms that wrap others."""

from collections.abc import Iterator
from typing import Any


def parts_of(dataset: Any) -> Iterator[Any]:
    """The data sets with files of their own within what repeats, concatenates or mixes them."""
    inner = getattr(dataset, 'datasets', None) or getattr(dataset, 'dataset', None)
    if inner is None:
        yield dataset
        return
    for part in inner if isinstance(inner, list) else [inner]:
        yield from parts_of(part)


def transforms_of(pipeline: Any) -> Iterator[Any]:
    """All transforms of a pipeline, with those that one of them chooses from or repeats."""
    if isinstance(pipeline, list | tuple):
        for transform in pipeline:
            yield from transforms_of(transform)
        return
    yield pipeline
    for inner in ('transforms', 'subroutines'):
        yield from transforms_of(getattr(pipeline, inner, []))


def all_transforms(dataset: Any) -> Iterator[Any]:
    """All transforms of a data set, of its parts and of what wraps them."""
    while dataset is not None:
        yield from transforms_of(getattr(dataset, 'pipeline', []))
        inner = getattr(dataset, 'dataset', None)
        for part in getattr(dataset, 'datasets', []):
            yield from all_transforms(part)
        dataset = inner
