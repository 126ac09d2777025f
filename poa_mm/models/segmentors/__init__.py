"""Segmentors, in mmseg's registry: imported by the configs that need them, as mmseg is optional."""

from mmseg.registry import TRANSFORMS

from poa_mm.datasets.load_image import LoadImage
from poa_mm.models.segmentors.frozen import FrozenEncoderDecoder
from poa_mm.models.segmentors.optim import TrainableConstructor
from poa_mm.models.segmentors.sweep import SweepEncoderDecoder, SweepHead

__all__ = ['FrozenEncoderDecoder', 'SweepEncoderDecoder', 'SweepHead', 'TrainableConstructor']

TRANSFORMS.register_module('LoadImageFromFile', module=LoadImage)
