"""Fine-tune classifiers with mmpretrain: average weights, check classes, distil, freeze."""

from poa_mm.classification.class_folders import ClassFolders
from poa_mm.classification.classifier_check_hook import ClassifierCheckHook
from poa_mm.classification.distillation import DistilledImageClassifier
from poa_mm.classification.ema_hook import StepEMAHook
from poa_mm.classification.frozen import FrozenImageClassifier
from poa_mm.classification.image_check_hook import ImageCheckHook
from poa_mm.classification.mlp_head import MLPClsHead

__all__ = [
    'ClassFolders',
    'ClassifierCheckHook',
    'DistilledImageClassifier',
    'FrozenImageClassifier',
    'ImageCheckHook',
    'MLPClsHead',
    'StepEMAHook',
]
