"""Losses of POA, as functions of logits (paper Eq. 5 to 10)."""

from poa_mm.models.losses.distillation import (
    cross_view_losses,
    overall_loss,
    same_view_loss,
    soft_cross_entropy,
)
from poa_mm.models.losses.sinkhorn import sinkhorn_knopp

__all__ = [
    'cross_view_losses',
    'overall_loss',
    'same_view_loss',
    'sinkhorn_knopp',
    'soft_cross_entropy',
]
