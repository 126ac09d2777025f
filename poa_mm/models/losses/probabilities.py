"""Probabilities over prototypes, the P of the paper. Here, and nowhere else, a temperature acts."""

from dataclasses import dataclass

from torch import Tensor

from poa_mm.models.losses.chunks import Index, PrototypeLogits, full_precision


def apply_temperature(logits: Tensor, temperature: float) -> Tensor:
    """Divide logits by τ, in float32 at least."""
    return full_precision(logits) / temperature


def student_log_probs(logits: Tensor, temperature: float) -> Tensor:
    """Return the logarithm of a student's softmax over prototypes, (…, K), at τ_s."""
    return apply_temperature(logits, temperature).log_softmax(dim=-1)


def teacher_probs(logits: Tensor, temperature: float, shift: Tensor) -> Tensor:
    """Return the teacher's soft targets (…, K): ``softmax(logits / τ_t − shift)``.

    Args:
        logits: (…, K).
        temperature: τ_t.
        shift: One number a prototype, (K,), that makes the targets use all prototypes.
    """
    return (apply_temperature(logits, temperature) - shift).softmax(dim=-1)


@dataclass(frozen=True)
class TeacherTargets:
    """Soft targets of tokens of one kind in one head, computed for the tokens that are indexed.

    Attributes:
        logits: The teacher's.
        temperature: τ_t.
        shift: See :func:`teacher_probs`.
    """

    logits: PrototypeLogits
    temperature: float
    shift: Tensor

    def __getitem__(self, tokens: Index) -> Tensor:
        return teacher_probs(self.logits[tokens], self.temperature, self.shift)


@dataclass(frozen=True)
class StudentLogProbs:
    """A student's log-probabilities in one head, computed for the tokens that are indexed.

    Attributes:
        logits: The student's.
        temperature: τ_s.
    """

    logits: PrototypeLogits
    temperature: float

    def __getitem__(self, tokens: Index) -> Tensor:
        return student_log_probs(self.logits[tokens], self.temperature)
