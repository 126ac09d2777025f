"""Raise a clear error for an empty data set.

Defect (all versions of mmengine): a ``BaseDataset`` without samples ends with numpy's "need at
least one array to concatenate". Fix: an error that names the folder and the suffix.
"""

from pathlib import Path

import numpy as np
from mmengine.dataset import BaseDataset

_serialize = BaseDataset._serialize_data


def _serialize_data(self: BaseDataset) -> tuple[np.ndarray, np.ndarray]:
    if not self.data_list:
        raise ValueError(_emptiness(self))
    return _serialize(self)


def _emptiness(dataset: BaseDataset) -> str:
    """Return where an empty data set has looked, and for what."""
    places = {**dataset.data_prefix, 'img_suffix': getattr(dataset, 'img_suffix', None)}
    if Path(dataset.ann_file).is_file():  # mmseg's joins an empty name to the data root
        places = {'ann_file': dataset.ann_file, **places}
    known = ', '.join(f'{name}={place!r}' for name, place in places.items() if place)
    return f'{type(dataset).__name__} has no samples after filtering, with {known}'


def install() -> None:
    """Check for samples before mmengine serialises them."""
    BaseDataset._serialize_data = _serialize_data
