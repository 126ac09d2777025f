"""Sub-networks as files for other libraries, each with a model card."""

from poa_mm.export.exporter import FORMATS, export_subnet
from poa_mm.export.model_card import ModelCard
from poa_mm.export.timm import load_timm
from poa_mm.export.timm_forms import TimmForm, timm_form

__all__ = [
    'FORMATS',
    'ModelCard',
    'TimmForm',
    'export_subnet',
    'load_timm',
    'timm_form',
]
