# What the room offers, imported when it is used.
from .build import build_on_meta
from .checkpoint import load_backbone, load_config, load_supernet, save_backbone
from .config_file import read_config
from .open_supernet import open_supernet, supernet_config
from .preprocessing import (
    Preprocessing,
    image_transform,
    imagenet_preprocessing,
    preprocessing_of,
    stored_preprocessing,
)
from .subnet_scheme import load_from_subnet

__all__ = [
    'Preprocessing',
    'build_on_meta',
    'image_transform',
    'imagenet_preprocessing',
    'load_backbone',
    'load_config',
    'load_from_subnet',
    'load_supernet',
    'open_supernet',
    'preprocessing_of',
    'read_config',
    'save_backbone',
    'stored_preprocessing',
    'supernet_config',
]
