"""Data sets in words."""

from typing import Any


def describe(dataset: Any) -> str:
    """Say in one line which data these are: images, classes, and where they come from."""
    classes = (getattr(dataset, 'metainfo', None) or {}).get('classes')
    of_classes = f' of {len(classes)} classes' if classes else ''
    place = getattr(dataset, 'img_prefix', '') or getattr(dataset, 'data_root', '')
    source = str(place or '').rstrip('/') or type(dataset).__name__
    return f'{len(dataset):,} images{of_classes} from {source}'
