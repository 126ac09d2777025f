"""Detection with mmdet: annotation files that are checked, and parts of detectors.

mmdet is optional, so this room is imported without it. Configs of detectors import
:mod:`poa_mm.detection.mmdet_modules`.
"""

from poa_mm.detection.annotation_check_hook import AnnotationCheckHook
from poa_mm.detection.class_check_hook import ClassCheckHook

__all__ = ['AnnotationCheckHook', 'ClassCheckHook']
