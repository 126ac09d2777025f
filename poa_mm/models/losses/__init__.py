"""Losses of POA, as functions of logits (paper Eq. 5 to 10)."""

from poa_mm.models.losses.distillation import (
    NUM_GLOBAL,
    cross_view_losses,
    distillation_losses,
    overall_loss,
    same_view_loss,
    soft_cross_entropy,
    student_log_probs,
)
from poa_mm.models.losses.sinkhorn import sinkhorn_knopp

__all__ = [
    'NUM_GLOBAL',
    'cross_view_losses',
    'distillation_losses',
    'overall_loss',
    'same_view_loss',
    'sinkhorn_knopp',
    'soft_cross_entropy',
    'student_log_probs',
]
