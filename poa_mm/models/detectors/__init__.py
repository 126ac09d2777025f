"""Parts of detectors, in mmdet's registry: imported by the configs, as mmdet is optional."""

from poa_mm.models.detectors.float32 import Float32RoIExtractor, Float32RPNHead

__all__ = ['Float32RPNHead', 'Float32RoIExtractor']
