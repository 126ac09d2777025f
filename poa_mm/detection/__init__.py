"""Detect objects with mmdet: check annotation files, keep boxes in float32.

mmdet is optional, so this package is imported without it. Configs of detectors import
:mod:`poa_mm.detection.mmdet_modules`.
"""

from poa_mm.detection.annotation_check_hook import AnnotationCheckHook
from poa_mm.detection.class_check_hook import ClassCheckHook

__all__ = ['AnnotationCheckHook', 'ClassCheckHook']
