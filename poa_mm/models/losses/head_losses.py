"""All terms of one projection head, from its bottleneck, in chunks (paper Eq. 6 to 9, iBOT)."""

from typing import NamedTuple

import torch
from torch import Tensor

from poa_mm.models.losses.chunks import prototype_logits, sum_over_chunks
from poa_mm.models.losses.distillation import (
    NUM_GLOBAL,
    cross_view_losses,
    same_view_loss,
    soft_cross_entropy,
    student_log_probs,
)


class TeacherTokens(NamedTuple):
    """Tokens of one kind in one head of the teacher.

    Attributes:
        features: (N, d).
        shift: What makes the targets use all prototypes, (K,).
    """

    features: Tensor
    shift: Tensor


class TeacherHead(NamedTuple):
    """One head of the teacher: ``softmax(features @ prototypes.T / τ_t − shift)`` are its targets.

    Attributes:
        prototypes: (K, d).
        temperature: τ_t.
        class_tokens: Those of the global views: view 1 of all images, then view 2.
        patches: The masked patches, if there are any.
    """

    prototypes: Tensor
    temperature: float
    class_tokens: TeacherTokens
    patches: TeacherTokens | None = None

    def targets(self, features: Tensor, shift: Tensor) -> Tensor:
        """Soft targets (N, K) of features (N, d)."""
        logits = prototype_logits(features, self.prototypes, self.temperature)
        return (logits - shift).softmax(dim=-1)


class StudentHead(NamedTuple):
    """One head of the students.

    Attributes:
        prototypes: (K, d).
        temperature: τ_s.
    """

    prototypes: Tensor
    temperature: float

    def log_probs(self, features: Tensor) -> Tensor:
        """Logarithm of the softmax over prototypes, (N, K), of features (N, d)."""
        return student_log_probs(prototype_logits(features, self.prototypes, 1.0), self.temperature)


class ClassTokens(NamedTuple):
    """Class tokens of one student in one head.

    Attributes:
        global_: Features of the global views, (2B, d), in the teacher's order.
        local: Features of the local views, (V·B, d), view-major.
    """

    global_: Tensor
    local: Tensor


def class_losses(
    teacher: TeacherHead,
    students: StudentHead,
    tokens: ClassTokens,
    intact: ClassTokens | None = None,
) -> dict[str, Tensor]:
    """Terms of one student's class tokens, a few images at a time.

    Args:
        teacher: The teacher's head.
        students: The students' head.
        tokens: The student's class tokens.
        intact: Those of the intact student, for the elastic one to learn from; they get no
            gradient.

    Returns:
        Scalars ``global`` and ``local`` (Eq. 6 and 8, or ES1 of Eq. 7 and 9), and with ``intact``
        also ``same_view_global`` and ``same_view_local`` (ES2).
    """
    batch = len(tokens.global_) // NUM_GLOBAL
    views = (NUM_GLOBAL, len(tokens.local) // batch)

    def terms(images: slice) -> Tensor:
        def part(rows: Tensor, number: int) -> Tensor:
            return rows.unflatten(0, (number, batch))[:, images].flatten(0, 1)

        def log_probs(student: ClassTokens) -> list[Tensor]:
            return [
                students.log_probs(part(rows, number))
                for rows, number in zip(student, views, strict=True)
            ]

        features, shift = teacher.class_tokens
        predicted = log_probs(tokens)
        losses = [
            *cross_view_losses(teacher.targets(part(features, NUM_GLOBAL), shift), *predicted)
        ]
        if intact is not None:
            with torch.no_grad():
                wanted = log_probs(intact)
            losses += [same_view_loss(*pair) for pair in zip(wanted, predicted, strict=True)]
        return torch.stack(losses) * ((images.stop - images.start) / batch)

    rows = NUM_GLOBAL + sum(views) * (1 if intact is None else 2)
    names = ('global', 'local', 'same_view_global', 'same_view_local')
    summed = sum_over_chunks(terms, batch, rows * len(students.prototypes))
    return dict(zip(names, summed, strict=False))


def patch_loss(
    teacher: TeacherHead, students: StudentHead, features: Tensor, divisors: Tensor
) -> Tensor:
    """Term of one student's masked patches (iBOT, App. C.3), a few patches at a time.

    Args:
        teacher: The teacher's head, with patches.
        students: The students' head.
        features: The student's features of the teacher's patches, (M, d).
        divisors: What the loss of each patch is divided by, (M,): the number of masked patches of
            its view, times the number of global views.
    """
    if not len(features):  # still a part of the graph, as on the other ranks
        return features.sum() * 0
    assert teacher.patches is not None
    wanted, shift = teacher.patches

    def terms(patches: slice) -> Tensor:
        targets = teacher.targets(wanted[patches], shift)
        losses = soft_cross_entropy(targets, students.log_probs(features[patches]))
        return (losses / divisors[patches]).sum()

    return sum_over_chunks(terms, len(features), 2 * len(students.prototypes))
