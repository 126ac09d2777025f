"""Sinkhorn-Knopp over the global batch, which makes the teacher use all prototypes alike."""

from collections.abc import Iterable, Sequence

import torch
from mmengine import dist
from torch import Tensor

from poa_mm.models.losses.probabilities import apply_temperature, teacher_probs


@torch.no_grad()
def sinkhorn_knopp(
    logits: Sequence[Tensor], temperature: float, num_iters: int = 3
) -> list[Tensor]:
    """Assign samples to prototypes so that all prototypes are used alike.

    Args:
        logits: Teacher logits of each head, (B, K_h). B is this rank's share of the batch.
        temperature: τ_t.
        num_iters: Number of alternations.

    Returns:
        Soft targets of each head, (B, K_h) in float32 (or float64); every row sums to one.

    Example:
        Two images prefer prototype 0, the first one more clearly:

        >>> logits = torch.tensor([[4.0, 1.0], [2.0, 1.0]]).log()
        >>> sinkhorn_knopp([logits], temperature=1.0, num_iters=1)
        [tensor([[0.5714, 0.4286],
                [0.4000, 0.6000]])]
    """
    shifts = sinkhorn_shifts([[head] for head in logits], temperature, num_iters)
    return [
        teacher_probs(head, temperature, shift) for head, shift in zip(logits, shifts, strict=True)
    ]


@torch.no_grad()
def sinkhorn_shifts(
    matrices: Sequence[Iterable[Tensor]], temperature: float, num_iters: int = 3
) -> list[Tensor]:
    """Run Sinkhorn-Knopp (Eq. 5) in the form of one number a prototype.

    The matrix exp(logits / τ) is scaled alternately, so that over the *global* batch every
    prototype gets the same share, and then that every sample's assignment sums to one. The second
    step is a softmax, so the result is ``softmax(logits / τ − shift)``, and the shifts are all
    that there is to find: the matrix itself is read in chunks, once an iteration.

    All of it happens on logarithms, so no logit and no temperature can overflow or underflow. The
    ranks exchange one vector an iteration, shared by all matrices; their batches may differ in
    size, and be empty.

    Args:
        matrices: Logits of each matrix, such as a head's, as chunks of rows, (n, K): at least one
            chunk, perhaps of no row. They are iterated over once an iteration.
        temperature: τ.
        num_iters: Number of alternations.

    Returns:
        The shifts (K,) of each matrix.
    """
    shares = [_log_shares(matrix, temperature, None) for matrix in matrices]
    sizes = [len(share) for share in shares]
    shifts = _global_logsumexp(torch.cat(shares)).split(sizes)
    for _ in range(num_iters - 1):
        shares = [
            _log_shares(matrix, temperature, shift)
            for matrix, shift in zip(matrices, shifts, strict=True)
        ]
        more = _global_logsumexp(torch.cat(shares)).split(sizes)
        shifts = tuple(shift + share for shift, share in zip(shifts, more, strict=True))
    return list(shifts)


def _log_shares(matrix: Iterable[Tensor], temperature: float, shift: Tensor | None) -> Tensor:
    """Sum each prototype's column over this rank's rows: its logarithm, (K,).

    Args:
        matrix: Logits in chunks of rows.
        temperature: τ.
        shift: That of the iteration before, by which each row sums to one; ``None`` in the first
            iteration, in which rows are as they come.
    """
    total: Tensor | None = None
    for logits in matrix:
        rows = apply_temperature(logits, temperature)
        if shift is not None:
            rows = (rows - shift).log_softmax(dim=1)
        columns = rows.logsumexp(dim=0)  # −∞ of no rows
        total = columns if total is None else torch.logaddexp(total, columns)
    assert total is not None
    return total


def _global_logsumexp(local: Tensor) -> Tensor:
    """Combine each rank's logsumexp (K,) into that of the global batch.

    Gathering K numbers of each rank, instead of summing them, needs no maximum to be agreed on
    first and stays exact where a sum of exponentials would underflow.
    """
    if dist.get_world_size() == 1:
        return local
    return torch.stack(dist.all_gather(local)).logsumexp(dim=0)
