"""Heads of the self-supervised algorithms."""

from poa_mm.models.heads.projection_head import MultiProjectionHead, ProjectionHead, Prototypes

__all__ = ['MultiProjectionHead', 'ProjectionHead', 'Prototypes']
