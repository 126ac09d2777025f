"""mmengine's empty data sets do not say so, but that numpy has nothing to concatenate."""

from pathlib import Path
from typing import Any

from mmengine.dataset import BaseDataset

_serialize = BaseDataset._serialize_data


def _serialize_data(self: Any) -> Any:
    if not self.data_list:
        raise ValueError(_emptiness(self))
    return _serialize(self)


def _emptiness(dataset: Any) -> str:
    """Where an empty data set has looked, and for what."""
    places = {**dataset.data_prefix, 'img_suffix': getattr(dataset, 'img_suffix', None)}
    if Path(dataset.ann_file).is_file():  # mmseg's joins an empty name to the data root
        places = {'ann_file': dataset.ann_file, **places}
    known = ', '.join(f'{name}={place!r}' for name, place in places.items() if place)
    return f'{type(dataset).__name__} holds no samples, after its filters, with {known}'


def install() -> None:
    """Name the folder and the suffix of an empty data set."""
    BaseDataset._serialize_data = _serialize_data
