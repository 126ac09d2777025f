"""Self-supervised algorithms."""

from poa_mm.models.selfsup.poa import POA

__all__ = ['POA']
