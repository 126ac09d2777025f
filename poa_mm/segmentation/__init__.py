"""Segment images with mmseg: check masks, train linear heads at many learning rates.

mmseg is optional, so this package is imported without it. Configs of segmentors import
:mod:`poa_mm.segmentation.mmseg_modules`.
"""

from poa_mm.segmentation.label_check_hook import LabelCheckHook

__all__ = ['LabelCheckHook']
