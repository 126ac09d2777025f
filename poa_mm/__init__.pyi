# What the package offers, imported when it is used: read by lazy_loader, type checkers and editors.
from . import (
    checkpoints,
    compat,
    datasets,
    detection,
    elastic,
    engine,
    evaluation,
    export,
    models,
    segmentation,
    selection,
    visualization,
)
from .checkpoints import image_transform, load_backbone, load_supernet

__all__ = [
    'checkpoints',
    'compat',
    'datasets',
    'detection',
    'elastic',
    'engine',
    'evaluation',
    'export',
    'image_transform',
    'load_backbone',
    'load_supernet',
    'models',
    'segmentation',
    'selection',
    'visualization',
]

__version__: str
