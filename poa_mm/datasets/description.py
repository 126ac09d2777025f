"""Describe data sets in one line."""

from mmengine.dataset import BaseDataset


def describe(dataset: BaseDataset) -> str:
    """Return one line on a data set: images, classes, and where they are from."""
    classes = (getattr(dataset, 'metainfo', None) or {}).get('classes')
    of_classes = f' of {len(classes)} classes' if classes else ''
    places = (getattr(dataset, name, '') for name in ('place', 'img_prefix', 'data_root'))
    place = next(filter(None, places), '')
    source = str(place or '').rstrip('/') or type(dataset).__name__
    return f'{len(dataset):,} images{of_classes} from {source}'
