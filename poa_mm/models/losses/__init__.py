"""Losses of POA, as functions of features and logits (paper Eq. 5 to 10 and 13)."""

from poa_mm.models.losses.centering import Centering, SinkhornKnopp
from poa_mm.models.losses.chunks import prototype_logits, sum_over_chunks
from poa_mm.models.losses.distillation import (
    NUM_GLOBAL,
    branch_loss,
    cross_view_losses,
    same_view_loss,
    soft_cross_entropy,
    student_log_probs,
)
from poa_mm.models.losses.early_backward import backward_now
from poa_mm.models.losses.head_losses import (
    ClassTokens,
    StudentHead,
    TeacherHead,
    TeacherTokens,
    class_losses,
    patch_loss,
)
from poa_mm.models.losses.koleo import check_koleo_batch, koleo_loss
from poa_mm.models.losses.sinkhorn import sinkhorn_knopp, sinkhorn_shifts

__all__ = [
    'NUM_GLOBAL',
    'Centering',
    'ClassTokens',
    'SinkhornKnopp',
    'StudentHead',
    'TeacherHead',
    'TeacherTokens',
    'backward_now',
    'branch_loss',
    'check_koleo_batch',
    'class_losses',
    'cross_view_losses',
    'koleo_loss',
    'patch_loss',
    'prototype_logits',
    'same_view_loss',
    'sinkhorn_knopp',
    'sinkhorn_shifts',
    'soft_cross_entropy',
    'student_log_probs',
    'sum_over_chunks',
]
