"""Self-supervised algorithms."""

from poa_mm.models.selfsup.block_masks import BlockMasks
from poa_mm.models.selfsup.poa import POA

__all__ = ['POA', 'BlockMasks']
