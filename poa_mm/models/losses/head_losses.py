"""All terms of one projection head, from its bottleneck, in chunks (paper Eq. 6 to 9, iBOT)."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from poa_mm.models.losses.chunks import prototype_logits, sum_over_chunks
from poa_mm.models.losses.distillation import (
    NUM_GLOBAL,
    distillation_losses,
    soft_cross_entropy,
    student_log_probs,
)

CLASS_TERMS = (
    'intact_global',
    'intact_local',
    'elastic_global',
    'elastic_local',
    'same_view_global',
    'same_view_local',
)
PATCH_TERMS = ('intact_patch', 'elastic_patch')


class Teacher(NamedTuple):
    """One head of the teacher: ``softmax(features @ prototypes.T / τ_t − shift)`` are its targets.

    Attributes:
        prototypes: (K, d).
        temperature: τ_t.
    """

    prototypes: Tensor
    temperature: float

    def targets(self, features: Tensor, shift: Tensor) -> Tensor:
        """Soft targets (N, K) of features (N, d); ``shift`` (K,) is that of their kind."""
        logits = prototype_logits(features, self.prototypes, self.temperature)
        return (logits - shift).softmax(dim=-1)


class Students(NamedTuple):
    """One head of the students.

    Attributes:
        prototypes: (K, d).
        temperature: τ_s.
    """

    prototypes: Tensor
    temperature: float

    def logits(self, features: Tensor) -> Tensor:
        """Logits (N, K), not divided by τ_s, of features (N, d)."""
        return prototype_logits(features, self.prototypes, 1.0)


def class_losses(
    teacher: Teacher,
    students: Students,
    targets: tuple[Tensor, Tensor],
    branches: Sequence[tuple[Tensor, Tensor]],
) -> dict[str, Tensor]:
    """Terms of the class tokens (Eq. 6 to 9), a few images at a time.

    Args:
        teacher: The teacher's head.
        students: The students' head.
        targets: The teacher's features of the global views (2B, d) and their shift (K,).
        branches: Features of the global (2B, d) and local views (V·B, d) of the intact student
            and, if there is one, of the elastic student.

    Returns:
        Scalars, as :func:`~poa_mm.models.losses.distillation_losses` names them.
    """
    features, shift = targets
    batch = len(features) // NUM_GLOBAL
    num_local = len(branches[0][1]) // batch
    names = CLASS_TERMS if len(branches) == 2 else CLASS_TERMS[:2]

    def terms(images: slice) -> Tensor:
        def part(rows: Tensor, views: int) -> Tensor:
            return rows.unflatten(0, (views, batch))[:, images].flatten(0, 1)

        def logits(student: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
            global_, local = student
            return (
                students.logits(part(global_, NUM_GLOBAL)),
                students.logits(part(local, num_local)),
            )

        losses = distillation_losses(
            teacher.targets(part(features, NUM_GLOBAL), shift),
            *map(logits, branches),
            temperature=students.temperature,
        )
        share = (images.stop - images.start) / batch
        return torch.stack([losses[name] for name in names]) * share

    rows = NUM_GLOBAL + (NUM_GLOBAL + num_local) * len(branches)
    summed = sum_over_chunks(terms, batch, rows * len(students.prototypes))
    return dict(zip(names, summed, strict=True))


def patch_losses(
    teacher: Teacher,
    students: Students,
    targets: tuple[Tensor, Tensor],
    branches: Sequence[Tensor],
    divisors: Tensor,
) -> dict[str, Tensor]:
    """Terms of the masked patches (iBOT, App. C.3), a few patches at a time.

    Args:
        teacher: The teacher's head.
        students: The students' head.
        targets: The teacher's features of the masked patches (M, d) and their shift (K,).
        branches: Features of the same patches (M, d) of the intact student and, if there is one,
            of the elastic student.
        divisors: What the loss of each patch is divided by, (M,): the number of masked patches of
            its view, times the number of global views.

    Returns:
        ``intact_patch`` and, with an elastic student, ``elastic_patch``.
    """
    features, shift = targets
    names = PATCH_TERMS[: len(branches)]
    if not len(features):  # still a part of the graph, as on the other ranks
        return {name: branch.sum() * 0 for name, branch in zip(names, branches, strict=True)}

    def terms(patches: slice) -> Tensor:
        target = teacher.targets(features[patches], shift)
        losses = [
            soft_cross_entropy(
                target, student_log_probs(students.logits(branch[patches]), students.temperature)
            )
            for branch in branches
        ]
        return (torch.stack(losses) / divisors[patches]).sum(dim=1)

    rows = 1 + len(branches)
    summed = sum_over_chunks(terms, len(features), rows * len(students.prototypes))
    return dict(zip(names, summed, strict=True))
