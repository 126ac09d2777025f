# What the room offers, imported when it is used.
from .build import build_on_meta
from .checkpoint import load_backbone, load_config, load_supernet, save_backbone
from .open_supernet import open_supernet
from .preprocessing import Preprocessing, image_transform, preprocessing_of
from .subnet_scheme import load_from_subnet

__all__ = [
    'Preprocessing',
    'build_on_meta',
    'image_transform',
    'load_backbone',
    'load_config',
    'load_from_subnet',
    'load_supernet',
    'open_supernet',
    'preprocessing_of',
    'save_backbone',
]
