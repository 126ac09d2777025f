"""Read, check and index annotation files in COCO's format, and repair them where that is safe.

Configs of detectors import this package, which registers with mmdet: mmdet is optional.
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
