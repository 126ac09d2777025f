"""Find the data sets and transforms within those that wrap others."""

from collections.abc import Callable, Iterator

from mmengine.dataset import BaseDataset
from torch.utils.data import Dataset

Transform = Callable[[dict], object]  # of the result dict of a sample
Transforms = Transform | list['Transforms'] | tuple['Transforms', ...]


def parts_of(dataset: Dataset) -> Iterator[BaseDataset]:
    """Yield the data sets that hold files, within those that repeat, concatenate or mix them."""
    inner = getattr(dataset, 'datasets', None) or getattr(dataset, 'dataset', None)
    if inner is None:
        yield dataset
        return
    for part in inner if isinstance(inner, list) else [inner]:
        yield from parts_of(part)


def transforms_of(pipeline: Transforms) -> Iterator[Transform]:
    """Yield all transforms of a pipeline, also those that one chooses from or repeats."""
    if isinstance(pipeline, list | tuple):
        for transform in pipeline:
            yield from transforms_of(transform)
        return
    yield pipeline
    for inner in ('transforms', 'subroutines'):
        yield from transforms_of(getattr(pipeline, inner, []))


def all_transforms(dataset: Dataset | None) -> Iterator[Transform]:
    """Yield all transforms of a data set, of its parts and of what wraps them."""
    while dataset is not None:
        yield from transforms_of(getattr(dataset, 'pipeline', []))
        inner = getattr(dataset, 'dataset', None)
        for part in getattr(dataset, 'datasets', []):
            yield from all_transforms(part)
        dataset = inner
