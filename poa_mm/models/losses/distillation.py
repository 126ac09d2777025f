"""Distillation between the branches and views, for one projection head (paper Eq. 6 to 10)."""

from collections.abc import Mapping

from torch import Tensor

from poa_mm.models.losses.chunks import full_precision

NUM_GLOBAL = 2  # global views of an image; the formulas of the paper hold for two


def student_log_probs(logits: Tensor, temperature: float) -> Tensor:
    """Logarithm of a student's softmax over prototypes, (…, K), at temperature τ_s."""
    return (full_precision(logits) / temperature).log_softmax(dim=-1)


def soft_cross_entropy(targets: Tensor, log_probs: Tensor) -> Tensor:
    """``−Σ_k P_k log Q_k`` of targets P and predictions log Q, (…, K) both; the result is (…)."""
    return -(targets * log_probs).sum(dim=-1)


def cross_view_losses(
    targets: Tensor, global_log_probs: Tensor, local_log_probs: Tensor
) -> tuple[Tensor, Tensor]:
    """Distil the teacher's view of an image into a student's other views (Eq. 6, 8; ES1 of 7, 9).

    A student's global view learns from the teacher's *other* global view, a local view from both.
    Each pair of views counts alike: with G = 2 global and V local views there are
    T = G(G − 1) + G·V of them, and the two losses add up to the mean over all pairs.

    Args:
        targets: Teacher targets (2B, K): view 1 of all images, then view 2.
        global_log_probs: The student's for the global views, (2B, K), in the same order.
        local_log_probs: The student's for the local views, (V·B, K), view-major.

    Returns:
        The global and the local loss.
    """
    batch = len(targets) // NUM_GLOBAL
    num_local = len(local_log_probs) // batch
    num_pairs = NUM_GLOBAL * (NUM_GLOBAL - 1) + NUM_GLOBAL * num_local
    other_view = targets.roll(batch, dims=0)
    global_loss = soft_cross_entropy(other_view, global_log_probs).mean()
    # Targets enter linearly, so one pass over the local views serves both teacher views.
    both_views = targets.unflatten(0, (NUM_GLOBAL, batch)).sum(dim=0)
    local_loss = soft_cross_entropy(both_views, local_log_probs.unflatten(0, (num_local, batch)))
    return (
        NUM_GLOBAL / num_pairs * global_loss,
        num_local / num_pairs * local_loss.mean(),
    )


def same_view_loss(target_log_probs: Tensor, log_probs: Tensor) -> Tensor:
    """Distil the intact student into the elastic one on the same view (ES2 of Eq. 7 and 9).

    The target is the intact student's softmax at the student temperature, without gradient and
    without Sinkhorn-Knopp.

    Args:
        target_log_probs: Of the intact student, (N, K).
        log_probs: Of the elastic student for the same views, (N, K).

    Returns:
        Mean cross-entropy over all views.
    """
    return soft_cross_entropy(target_log_probs.detach().exp(), log_probs).mean()


def branch_loss(terms: Mapping[str, Tensor], branch: str, patch_weight: float = 1.0) -> Tensor:
    """``L^g + L^l`` of a branch in Eq. 10, and its patches.

    Args:
        terms: ``<branch>_global``, ``<branch>_local`` and, where patches are masked,
            ``<branch>_patch``; tensors of any one shape.
        branch: ``'intact'``, ``'elastic'`` or ``'same_view'``.
        patch_weight: Weight of the patches beside the class tokens.
    """
    classes = terms[f'{branch}_global'] + terms[f'{branch}_local']
    patches = terms.get(f'{branch}_patch')
    return classes if patches is None else classes + patch_weight * patches
