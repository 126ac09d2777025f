"""Register segmentors with mmseg: imported by configs, as mmseg is optional."""

from mmseg.registry import TRANSFORMS

from poa_mm.datasets.load_image import LoadImage
from poa_mm.segmentation.frozen import FrozenEncoderDecoder
from poa_mm.segmentation.sweep import SweepEncoderDecoder, SweepHead
from poa_mm.segmentation.trainable_constructor import TrainableConstructor

__all__ = ['FrozenEncoderDecoder', 'SweepEncoderDecoder', 'SweepHead', 'TrainableConstructor']

TRANSFORMS.register_module('LoadImageFromFile', module=LoadImage)
