# What the room offers, imported when it is used.
from .convert import FAMILIES, Conversion, convert_official
from .settings import DEFAULTS, OfficialSettings

__all__ = ['DEFAULTS', 'FAMILIES', 'Conversion', 'OfficialSettings', 'convert_official']
