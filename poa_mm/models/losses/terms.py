"""The terms of the loss, over all heads, under the names that they have in the log."""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from poa_mm.models.losses.chunks import PrototypeLogits, Terms, sum_over_chunks
from poa_mm.models.losses.distillation import (
    cross_view_global_loss,
    cross_view_local_loss,
    same_view_loss,
    soft_cross_entropy,
)
from poa_mm.models.losses.probabilities import StudentLogProbs, TeacherTargets


class TeacherHead(NamedTuple):
    """Targets of the teacher in one head.

    Attributes:
        class_tokens: Those of the global views, (2, B, K).
        patches: Those of the masked patches, (M, K), if there are any.
    """

    class_tokens: TeacherTargets
    patches: TeacherTargets | None = None


class StudentHead(NamedTuple):
    """Predictions of a student in one head.

    Attributes:
        global_views: Those of the class tokens, (2, B, K), in the teacher's order.
        local_views: Those of the class tokens, (V, B, K).
        patches: Those of the teacher's patches, (M, K).
    """

    global_views: StudentLogProbs
    local_views: StudentLogProbs
    patches: StudentLogProbs | None = None


def cross_view_terms(
    name: str,
    teacher: Sequence[TeacherHead],
    student: Sequence[StudentHead],
    divisors: Tensor | None,
) -> Terms:
    """Compute the terms of a student that learns across views, (H,) each: one number a head.

    Args:
        name: What the terms' names begin with.
        teacher: Targets of each head.
        student: Predictions of each head.
        divisors: See :func:`patch_loss`; ``None`` without masked patches.

    Returns:
        ``<name>_global``, ``<name>_local`` and, with masked patches, ``<name>_patch``.
    """
    rows = []
    for targets, predictions in zip(teacher, student, strict=True):
        read = (targets.class_tokens.logits, *_class_logits(predictions))
        terms = _mean_over_images(partial(_cross_view_sums, name, targets, predictions), read)
        if divisors is not None:
            terms[f'{name}_patch'] = patch_loss(targets.patches, predictions.patches, divisors)
        rows.append(terms)
    return _by_name(rows)


def intact_terms(
    teacher: Sequence[TeacherHead], intact: Sequence[StudentHead], divisors: Tensor | None
) -> Terms:
    """Compute the :func:`cross_view_terms` of the intact student, under its name."""
    return cross_view_terms('intact', teacher, intact, divisors)


def elastic_terms(
    teacher: Sequence[TeacherHead],
    elastic: Sequence[StudentHead],
    intact: Sequence[StudentHead],
    divisors: Tensor | None,
) -> Terms:
    """Compute the terms of the elastic student, (H,) each: one number a head.

    Args:
        teacher: Targets of each head.
        elastic: Predictions of each head.
        intact: Predictions of the intact student, from which the elastic one learns. They get no
            gradient.
        divisors: See :func:`patch_loss`; ``None`` without masked patches.

    Returns:
        ``elastic_global``, ``elastic_local``, ``same_view_global``, ``same_view_local`` and, with
        masked patches, ``elastic_patch``.
    """
    rows = []
    for targets, student, example in zip(teacher, elastic, intact, strict=True):
        read = (targets.class_tokens.logits, *_class_logits(student), *_class_logits(example))
        terms = _mean_over_images(partial(_elastic_sums, targets, student, example), read)
        if divisors is not None:
            terms['elastic_patch'] = patch_loss(targets.patches, student.patches, divisors)
        rows.append(terms)
    return _by_name(rows)


def patch_loss(
    teacher: TeacherTargets | None, student: StudentLogProbs | None, divisors: Tensor
) -> Tensor:
    """Distil the teacher's patches into those that a student does not see (iBOT, App. C.3).

    Args:
        teacher: Targets of the masked patches, (M, K).
        student: Predictions for them, (M, K).
        divisors: What the loss of each patch is divided by, (M,): the number of masked patches of
            its view, times the number of global views. So the result is the sum, over views, of
            the mean over their masked patches, divided by the number of all global views.
    """
    assert teacher is not None
    assert student is not None
    features, prototypes = student.logits.features, student.logits.prototypes
    if not len(features):  # still a part of the graph, as on the other ranks
        return features.sum() * 0
    sums = partial(_patch_sums, teacher, student, divisors)
    return sum_over_chunks(sums, len(features), 2 * len(prototypes))['patch']


def _cross_view_sums(name: str, teacher: TeacherHead, student: StudentHead, images: slice) -> Terms:
    """Sum a student's terms of some images across views."""
    targets = teacher.class_tokens[:, images]
    global_log_probs, local_log_probs = _class_log_probs(student, images)
    num_local = len(local_log_probs)
    return {
        f'{name}_global': cross_view_global_loss(targets, global_log_probs, num_local).sum(),
        f'{name}_local': cross_view_local_loss(targets, local_log_probs).sum(),
    }


def _elastic_sums(
    teacher: TeacherHead, elastic: StudentHead, intact: StudentHead, images: slice
) -> Terms:
    """Sum the elastic student's terms of some images: global (Eq. 7) and local views (Eq. 9)."""
    targets = teacher.class_tokens[:, images]
    with torch.no_grad():
        intact_global, intact_local = _class_log_probs(intact, images)
    global_log_probs, local_log_probs = _class_log_probs(elastic, images)
    num_local = len(local_log_probs)
    return {
        'elastic_global': cross_view_global_loss(targets, global_log_probs, num_local).sum(),
        'elastic_local': cross_view_local_loss(targets, local_log_probs).sum(),
        'same_view_global': same_view_loss(intact_global, global_log_probs).sum(),
        'same_view_local': same_view_loss(intact_local, local_log_probs).sum(),
    }


def _patch_sums(
    teacher: TeacherTargets, student: StudentLogProbs, divisors: Tensor, patches: slice
) -> Terms:
    """Sum the losses of some patches, each divided by its divisor."""
    losses = soft_cross_entropy(teacher[patches], student[patches])
    return {'patch': (losses / divisors[patches]).sum()}


def _class_log_probs(student: StudentHead, images: slice) -> tuple[Tensor, Tensor]:
    """Compute the predictions for some images, (2, b, K) and (V, b, K)."""
    return student.global_views[:, images], student.local_views[:, images]


def _class_logits(student: StudentHead) -> tuple[PrototypeLogits, PrototypeLogits]:
    return student.global_views.logits, student.local_views.logits


def _mean_over_images(sums: partial[Terms], read: Sequence[PrototypeLogits]) -> Terms:
    """Average over all images, a few at a time.

    Args:
        sums: Function of a slice of the images.
        read: What it computes of these: views (n, B, d), with their prototypes.
    """
    num_images = read[0].features.shape[1]
    logits_each = sum(len(part.features) * len(part.prototypes) for part in read)
    summed = sum_over_chunks(sums, num_images, logits_each)
    return {name: value / num_images for name, value in summed.items()}


def _by_name(heads: Sequence[Terms]) -> Terms:
    """Stack the terms of all heads."""
    return {name: torch.stack([terms[name] for terms in heads]) for name in heads[0]}
