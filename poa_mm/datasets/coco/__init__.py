"""Annotation files in COCO's format: read, checked, repaired where that is safe, and indexed.

In mmdet's registries: imported by the configs that need it, as mmdet is optional.
"""

from poa_mm.datasets.coco.api import CheckedCOCO, check_classes
from poa_mm.datasets.coco.content import check_content
from poa_mm.datasets.coco.dataset import CheckedCocoDataset
from poa_mm.datasets.coco.metric import CheckedCocoMetric
from poa_mm.datasets.coco.reading import read_annotations

__all__ = [
    'CheckedCOCO',
    'CheckedCocoDataset',
    'CheckedCocoMetric',
    'check_classes',
    'check_content',
    'read_annotations',
]
