"""Distillation between the branches and views, for one projection head (paper Eq. 6 to 10)."""

from collections.abc import Mapping

from torch import Tensor

from poa_mm.models.losses.precision import full_precision

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


def distillation_losses(
    targets: Tensor,
    intact_logits: tuple[Tensor, Tensor],
    elastic_logits: tuple[Tensor, Tensor] | None = None,
    *,
    temperature: float,
) -> dict[str, Tensor]:
    """All terms of one head (Eq. 6 to 9).

    Args:
        targets: Teacher targets of the global views, (2B, K).
        intact_logits: Logits of the intact student for the global views (2B, K) and the local
            views (V·B, K).
        elastic_logits: The same of the elastic student, if there is one.
        temperature: τ_s.

    Returns:
        Scalars: ``intact_global``, ``intact_local``, ``elastic_global``, ``elastic_local``,
        ``same_view_global``, ``same_view_local``; the first two without an elastic student.
    """
    intact = [student_log_probs(logits, temperature) for logits in intact_logits]
    intact_global, intact_local = cross_view_losses(targets, *intact)
    terms = {'intact_global': intact_global, 'intact_local': intact_local}
    if elastic_logits is None:
        return terms
    elastic = [student_log_probs(logits, temperature) for logits in elastic_logits]
    elastic_global, elastic_local = cross_view_losses(targets, *elastic)
    return {
        **terms,
        'elastic_global': elastic_global,
        'elastic_local': elastic_local,
        'same_view_global': same_view_loss(intact[0], elastic[0]),
        'same_view_local': same_view_loss(intact[1], elastic[1]),
    }


def overall_loss(
    terms: Mapping[str, Tensor],
    intact_weight: float,
    patch_weight: float = 1.0,
    from_teacher: bool = True,
    from_intact: bool = True,
) -> Tensor:
    """λ · (intact terms) + (1 − λ) · (elastic and same-view terms) (Eq. 10), with patches.

    A term that is missing counts nothing. Without any elastic term the intact student trains
    alone, and its terms count in full.

    Args:
        terms: As :func:`distillation_losses` returns them, with ``intact_patch`` and
            ``elastic_patch`` where patches are masked; tensors of any one shape.
        intact_weight: λ.
        patch_weight: Weight of the patch terms beside the class tokens' ones.
        from_teacher: Count the elastic student's terms against the teacher (ES1, and its patches).
        from_intact: Count the elastic student's terms against the intact one (ES2).
    """

    def total(branch: str) -> Tensor:
        classes = terms[f'{branch}_global'] + terms[f'{branch}_local']
        patches = terms.get(f'{branch}_patch')
        return classes if patches is None else classes + patch_weight * patches

    if 'elastic_global' not in terms:
        return total('intact')
    elastic = [total('elastic')] if from_teacher else []
    if from_intact:
        elastic.append(total('same_view'))
    return intact_weight * total('intact') + (1 - intact_weight) * sum(elastic)
