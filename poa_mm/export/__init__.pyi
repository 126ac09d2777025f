# What the room offers, imported when it is used.
from .exporter import export_subnet
from .formats import FORMATS, card_paths, check_targets
from .model_card import ModelCard
from .timm import load_timm
from .timm_forms import TimmForm, timm_form

__all__ = [
    'FORMATS',
    'ModelCard',
    'TimmForm',
    'card_paths',
    'check_targets',
    'export_subnet',
    'load_timm',
    'timm_form',
]
