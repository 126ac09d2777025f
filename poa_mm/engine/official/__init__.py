"""Checkpoints of the authors' code (github.com/alipay/POA), one file a family."""

from poa_mm.engine.official.convert import FAMILIES, Conversion, convert_official
from poa_mm.engine.official.tables import OfficialSettings

__all__ = ['FAMILIES', 'Conversion', 'OfficialSettings', 'convert_official']
