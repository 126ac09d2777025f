"""Register parts of detectors with mmdet: imported by configs, as mmdet is optional."""

from mmdet.registry import TRANSFORMS

from poa_mm.datasets.load_image import LoadImage
from poa_mm.detection.float32 import Float32RoIExtractor, Float32RPNHead

__all__ = ['Float32RPNHead', 'Float32RoIExtractor']

TRANSFORMS.register_module('LoadImageFromFile', module=LoadImage)
