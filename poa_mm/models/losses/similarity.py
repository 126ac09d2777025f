"""SEED's loss: the student ranks features that the teacher has seen as the teacher does."""

import torch
import torch.nn.functional as F
from torch import Tensor

from poa_mm.models.losses.chunks import full_precision, without_autocast


def similarity_distillation(
    student: Tensor,
    teacher: Tensor,
    queue: Tensor,
    student_temp: float = 0.2,
    teacher_temp: float = 0.01,
) -> Tensor:
    """Compute the cross-entropy between the similarities of teacher and student (SEED, Sec. 3.2).

    Each image is compared with the queue and with its own teacher feature: K + 1 similarities,
    over which a softmax makes a distribution. Features are L2-normalised, in float32 at least.

    Args:
        student: Student's features of n images, (n, D).
        teacher: Teacher's features of the same images, (n, D); they get no gradient.
        queue: L2-normalised features of earlier images, (K, D).
        student_temp: τ of the student's distribution.
        teacher_temp: τ of the teacher's distribution.

    Returns:
        Mean over the images, a scalar.
    """
    with without_autocast(student.device.type):
        theirs = F.normalize(full_precision(teacher.detach()), dim=-1)
        ours = F.normalize(full_precision(student), dim=-1)
        targets = (_similarities(theirs, theirs, queue) / teacher_temp).softmax(dim=1)
        log_probs = (_similarities(ours, theirs, queue) / student_temp).log_softmax(dim=1)
        return -(targets * log_probs).sum(dim=1).mean()


def _similarities(features: Tensor, own: Tensor, queue: Tensor) -> Tensor:
    """Return cosines with the queue and, last, with the image's own teacher feature, (n, K + 1)."""
    with_own = (features * own).sum(dim=1, keepdim=True)
    return torch.cat([features @ queue.to(features.dtype).T, with_own], dim=1)
