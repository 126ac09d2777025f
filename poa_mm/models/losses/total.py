"""The loss that is trained on, from its terms (Eq. 10).

Its two parts are summed by POA, which computes one student after the other: the memory of the first
is free before the second starts.
"""

import torch
from torch import Tensor

from poa_mm.models.losses.chunks import Terms


def cross_view_sum(name: str, terms: Terms, ibot_weight: float) -> Tensor:
    """Sum what a student learns across views, global and local, and its masked patches.

    Args:
        name: Of :func:`~poa_mm.models.losses.cross_view_terms`, which has computed them.
        terms: Among others, those.
        ibot_weight: Weight of the masked patches beside the class tokens.

    Returns:
        One number a head, (H,).
    """
    loss = terms[f'{name}_global'] + terms[f'{name}_local']
    if f'{name}_patch' in terms:
        loss = loss + ibot_weight * terms[f'{name}_patch']
    return loss


def student_part(
    name: str, terms: Terms, weight: float, ibot_weight: float, koleo_weight: float
) -> Tensor:
    """Weigh the part of a student that learns across views alone, with patches and KoLeo.

    Args:
        name: Of :func:`~poa_mm.models.losses.cross_view_terms`, which has computed its terms.
        terms: Among others, those, and ``<name>_koleo`` if it counts.
        weight: Weight of all but KoLeo.
        ibot_weight: Weight of the masked patches beside the class tokens.
        koleo_weight: Weight of ``<name>_koleo``.

    Returns:
        Scalar: the mean over heads, and KoLeo.
    """
    loss = cross_view_sum(name, terms, ibot_weight).mean()
    return weight * loss + koleo_weight * terms.get(f'{name}_koleo', 0.0)


def intact_part(
    terms: Terms, intact_weight: float, ibot_weight: float, koleo_weight: float
) -> Tensor:
    """Weigh the intact student's part: λ(L_IS^g + L_IS^l), with patches and KoLeo.

    See :func:`student_part`; the weight is λ.
    """
    return student_part('intact', terms, intact_weight, ibot_weight, koleo_weight)


def elastic_part(
    terms: Terms,
    intact_weight: float,
    ibot_weight: float,
    koleo_weight: float,
    from_teacher: bool = True,
    from_intact: bool = True,
) -> Tensor:
    """Weigh the elastic student's part: (1 − λ)(L_ES1 + L_ES2), with patches and KoLeo.

    L_ES1 and L_ES2 are the sums over global and local views, L_ES1^g + L_ES1^l and
    L_ES2^g + L_ES2^l.

    Args:
        terms: From :func:`~poa_mm.models.losses.elastic_terms`, and ``elastic_koleo`` if it counts.
        intact_weight: λ.
        ibot_weight: Weight of the masked patches beside the class tokens.
        koleo_weight: Weight of ``elastic_koleo``.
        from_teacher: Count L_ES1, and the patches with it.
        from_intact: Count L_ES2.

    Returns:
        Scalar: the mean over heads, and KoLeo.
    """
    loss = torch.zeros_like(terms['elastic_global'])
    if from_teacher:
        loss = loss + cross_view_sum('elastic', terms, ibot_weight)
    if from_intact:
        loss = loss + terms['same_view_global'] + terms['same_view_local']
    return (1 - intact_weight) * loss.mean() + koleo_weight * terms.get('elastic_koleo', 0.0)
