"""Segmentors, in mmseg's registry: imported by the configs that need them, as mmseg is optional."""

from poa_mm.models.segmentors.frozen import FrozenEncoderDecoder
from poa_mm.models.segmentors.optim import TrainableConstructor
from poa_mm.models.segmentors.sweep import SweepEncoderDecoder, SweepHead

__all__ = ['FrozenEncoderDecoder', 'SweepEncoderDecoder', 'SweepHead', 'TrainableConstructor']
