# What the package offers, imported when it is used: read by lazy_loader, type checkers and editors.
from . import compat, datasets, elastic, engine, evaluation, export, models, visualization
from .engine import load_backbone, load_supernet
from .preprocessing import image_transform

__all__ = [
    'compat',
    'datasets',
    'elastic',
    'engine',
    'evaluation',
    'export',
    'image_transform',
    'load_backbone',
    'load_supernet',
    'models',
    'visualization',
]

__version__: str
