"""Cross-entropies between the branches and views of an image, for one projection head.

Everything is ordered by view, then image: global views are (G, B, K), with G = 2, and local views
(V, B, K). A loss is given for each image, (B,), and the step takes the mean over images.
"""

from torch import Tensor

NUM_GLOBAL = 2  # global views of an image; the formulas of the paper hold for two


def soft_cross_entropy(targets: Tensor, log_probs: Tensor) -> Tensor:
    """Compute ``−Σ_k P_k log Q_k``, (…), of targets P and predictions log Q, both (…, K)."""
    return -(targets * log_probs).sum(dim=-1)


def num_view_pairs(num_local: int) -> int:
    """Count the pairs of different views, teacher's and student's: T = G(G − 1) + G·V.

    Each pair counts alike, so the global and the local loss add up to the mean over all pairs.
    """
    return NUM_GLOBAL * (NUM_GLOBAL - 1) + NUM_GLOBAL * num_local


def cross_view_global_loss(targets: Tensor, log_probs: Tensor, num_local: int) -> Tensor:
    """Distil the teacher's global views into a student's *other* global views (Eq. 6).

    For the elastic student this is L_ES1^g of Eq. 7.

    Args:
        targets: Teacher's, (G, B, K).
        log_probs: Student's for the global views, (G, B, K).
        num_local: Number V of local views, which the weight of a pair depends on.

    Returns:
        ``−Σ P_a log P_b / T`` over both orders of the two views, (B,).
    """
    other_view = targets.flip(0)
    return soft_cross_entropy(other_view, log_probs).sum(dim=0) / num_view_pairs(num_local)


def cross_view_local_loss(targets: Tensor, log_probs: Tensor) -> Tensor:
    """Distil the teacher's global views into all local views of a student (Eq. 8).

    For the elastic student this is L_ES1^l of Eq. 9.

    Args:
        targets: Teacher's, (G, B, K).
        log_probs: Student's for the local views, (V, B, K).

    Returns:
        ``−Σ_a Σ_i P_a log P_li / T``, (B,).
    """
    # Targets enter linearly, so one pass over the local views serves both teacher views.
    both_views = targets.sum(dim=0)
    return soft_cross_entropy(both_views, log_probs).sum(dim=0) / num_view_pairs(len(log_probs))


def same_view_loss(target_log_probs: Tensor, log_probs: Tensor) -> Tensor:
    """Distil the intact student into the elastic one on the same view.

    This is L_ES2^g of Eq. 7 for global views and L_ES2^l of Eq. 9 for local ones. The target is the
    intact student's softmax at the student temperature, without gradient and without
    Sinkhorn-Knopp.

    Args:
        target_log_probs: Intact student's, (views, B, K).
        log_probs: Elastic student's for the same views, (views, B, K).

    Returns:
        ``−P_1 log P_2``, the mean over the views, (B,).
    """
    return soft_cross_entropy(target_log_probs.detach().exp(), log_probs).mean(dim=0)
