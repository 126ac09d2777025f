"""Segmentation with mmseg: masks that are checked, and linear probing of many heads at once.

mmseg is optional, so this room is imported without it. Configs of segmentors import
:mod:`poa_mm.segmentation.mmseg_modules`.
"""

from poa_mm.segmentation.label_check_hook import LabelCheckHook

__all__ = ['LabelCheckHook']
