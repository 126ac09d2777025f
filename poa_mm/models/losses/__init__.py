"""Losses of POA, as functions of features and logits."""

from poa_mm.models.losses.centering import Centering, SinkhornKnopp
from poa_mm.models.losses.chunks import (
    PrototypeLogits,
    Terms,
    full_precision,
    prototype_logits,
    sum_over_chunks,
)
from poa_mm.models.losses.distillation import (
    NUM_GLOBAL,
    cross_view_global_loss,
    cross_view_local_loss,
    same_view_loss,
    soft_cross_entropy,
)
from poa_mm.models.losses.early_backward import backward_now
from poa_mm.models.losses.koleo import check_koleo_batch, koleo_loss, koleo_of_global_views
from poa_mm.models.losses.probabilities import (
    StudentLogProbs,
    TeacherTargets,
    apply_temperature,
    student_log_probs,
    teacher_probs,
)
from poa_mm.models.losses.reach_all import reach_all
from poa_mm.models.losses.sinkhorn import sinkhorn_knopp, sinkhorn_shifts
from poa_mm.models.losses.terms import (
    StudentHead,
    TeacherHead,
    cross_view_terms,
    elastic_terms,
    intact_terms,
    patch_loss,
)
from poa_mm.models.losses.total import cross_view_sum, elastic_part, intact_part, student_part

__all__ = [
    'NUM_GLOBAL',
    'Centering',
    'PrototypeLogits',
    'SinkhornKnopp',
    'StudentHead',
    'StudentLogProbs',
    'TeacherHead',
    'TeacherTargets',
    'Terms',
    'apply_temperature',
    'backward_now',
    'check_koleo_batch',
    'cross_view_global_loss',
    'cross_view_local_loss',
    'cross_view_sum',
    'cross_view_terms',
    'elastic_part',
    'elastic_terms',
    'full_precision',
    'intact_part',
    'intact_terms',
    'koleo_loss',
    'koleo_of_global_views',
    'patch_loss',
    'prototype_logits',
    'reach_all',
    'same_view_loss',
    'sinkhorn_knopp',
    'sinkhorn_shifts',
    'soft_cross_entropy',
    'student_log_probs',
    'student_part',
    'sum_over_chunks',
    'teacher_probs',
]
