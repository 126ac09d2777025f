"""Annotation files in COCO's format: read, checked, repaired where that is safe, and indexed.

In mmdet's registries: imported by the configs that need it, as mmdet is optional.
"""

from poa_mm.detection.coco.api import CheckedCOCO, check_classes
from poa_mm.detection.coco.content import check_content
from poa_mm.detection.coco.dataset import CheckedCocoDataset
from poa_mm.detection.coco.metric import CheckedCocoMetric
from poa_mm.detection.coco.reading import read_annotations

__all__ = [
    'CheckedCOCO',
    'CheckedCocoDataset',
    'CheckedCocoMetric',
    'check_classes',
    'check_content',
    'read_annotations',
]
