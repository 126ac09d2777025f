"""Distillation between the branches and views (paper Eq. 6 to 10)."""

from collections.abc import Sequence

import torch
from torch import Tensor

from poa_mm.models.losses.precision import full_precision

NUM_GLOBAL = 2  # global views of an image; the formulas of the paper hold for two


def soft_cross_entropy(targets: Tensor, logits: Tensor, temperature: float) -> Tensor:
    """``−Σ_k P_k log softmax(logits / τ)_k`` for each row.

    Args:
        targets: P, (…, K). Rows may sum to any number.
        logits: Student logits, (…, K).
        temperature: τ_s.

    Returns:
        Cross-entropies, (…).
    """
    return -(targets * (full_precision(logits) / temperature).log_softmax(dim=-1)).sum(dim=-1)


def cross_view_losses(
    targets: Tensor, global_logits: Tensor, local_logits: Tensor, temperature: float
) -> tuple[Tensor, Tensor]:
    """Distil the teacher's view of an image into a student's other views (Eq. 6, 8; ES1 of 7, 9).

    A student's global view learns from the teacher's *other* global view, a local view from both.
    Each pair of views counts alike: with G = 2 global and V local views there are
    T = G(G − 1) + G·V of them, and the two losses add up to the mean over all pairs.

    Args:
        targets: Teacher targets (2B, K): view 1 of all images, then view 2.
        global_logits: Student logits of the global views, (2B, K), in the same order.
        local_logits: Student logits of the local views, (V·B, K), view-major.
        temperature: τ_s.

    Returns:
        The global and the local loss.
    """
    batch = len(targets) // NUM_GLOBAL
    num_local = len(local_logits) // batch
    num_pairs = NUM_GLOBAL * (NUM_GLOBAL - 1) + NUM_GLOBAL * num_local
    other_view = targets.roll(batch, dims=0)
    global_loss = soft_cross_entropy(other_view, global_logits, temperature).mean()
    # Targets enter linearly, so one pass over the local logits serves both teacher views.
    both_views = targets.view(NUM_GLOBAL, 1, batch, -1).sum(dim=0)
    local_loss = soft_cross_entropy(
        both_views, local_logits.view(num_local, batch, -1), temperature
    ).mean(dim=1)
    return NUM_GLOBAL / num_pairs * global_loss, local_loss.sum() / num_pairs


def same_view_loss(target_logits: Tensor, logits: Tensor, temperature: float) -> Tensor:
    """Distil the intact student into the elastic one on the same view (ES2 of Eq. 7 and 9).

    The target is the intact student's softmax at the student temperature, without gradient and
    without Sinkhorn-Knopp.

    Args:
        target_logits: Logits of the intact student, (N, K).
        logits: Logits of the elastic student for the same views, (N, K).
        temperature: τ_s.

    Returns:
        Mean cross-entropy over all views.
    """
    targets = (full_precision(target_logits.detach()) / temperature).softmax(dim=-1)
    return soft_cross_entropy(targets, logits, temperature).mean()


def overall_loss(intact: Sequence[Tensor], elastic: Sequence[Tensor], intact_weight: float) -> Tensor:
    """λ · (intact terms) + (1 − λ) · (elastic terms) (Eq. 10), as the mean over the heads.

    Args:
        intact: Terms of the intact student, (H,) each.
        elastic: Terms of the elastic student, (H,) each.
        intact_weight: λ.
    """
    per_head = intact_weight * torch.stack(list(intact)).sum(dim=0)
    per_head = per_head + (1 - intact_weight) * torch.stack(list(elastic)).sum(dim=0)
    return per_head.mean()
