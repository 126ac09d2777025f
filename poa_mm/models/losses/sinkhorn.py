"""Teacher targets: Sinkhorn-Knopp over the global batch (paper Eq. 5)."""

from collections.abc import Callable, Iterable, Sequence

import torch
from mmengine import dist
from torch import Tensor

from poa_mm.models.losses.chunks import full_precision


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
    """
    scaled = [full_precision(head) / temperature for head in logits]
    shifts = sinkhorn_shifts(
        [lambda head=head: [head] for head in scaled],  # type: ignore[misc] # binds it now
        [torch.full_like(head[:1], -torch.inf).squeeze(0) for head in scaled],
        num_iters,
    )
    return [(head - shift).softmax(dim=1) for head, shift in zip(scaled, shifts, strict=True)]


@torch.no_grad()
def sinkhorn_shifts(
    chunks: Sequence[Callable[[], Iterable[Tensor]]],
    nothing: Sequence[Tensor],
    num_iters: int = 3,
) -> list[Tensor]:
    """Sinkhorn-Knopp in the form of one number a prototype.

    The matrix exp(logits / τ) is scaled alternately, so that over the *global* batch every
    prototype gets the same share, and then that every sample's assignment sums to one. The second
    step is a softmax, so the result is ``softmax(logits / τ − shift)``, and the shifts are all
    that there is to find: the matrix itself is read in chunks, once an iteration.

    All of it happens on logarithms, so no logit and no temperature can overflow or underflow. The
    ranks exchange one vector an iteration, shared by all matrices; their batches may differ in
    size, and be empty.

    Args:
        chunks: For each matrix, such as a head's, what yields its logits / τ in chunks of rows,
            (n, K) in float32 or float64, anew for each iteration.
        nothing: For each matrix the sum over no rows at all: K times −∞.
        num_iters: Number of alternations.

    Returns:
        The shifts (K,) of each matrix.
    """
    shifts: list[Tensor] = []
    sizes = [empty.shape[0] for empty in nothing]
    for _ in range(num_iters):
        shares = list(nothing)
        for index, matrix in enumerate(chunks):
            for rows in matrix():
                if shifts:
                    rows = (rows - shifts[index]).log_softmax(dim=1)
                shares[index] = torch.logaddexp(shares[index], rows.logsumexp(dim=0))
        shares = list(_global_logsumexp(torch.cat(shares)).split(sizes))
        if shifts:
            shares = [shift + share for shift, share in zip(shifts, shares, strict=True)]
        shifts = shares
    return shifts


def _global_logsumexp(local: Tensor) -> Tensor:
    """Combine each rank's logsumexp (K,) into that of the global batch.

    Gathering K numbers of each rank, instead of summing them, needs no maximum to be agreed on
    first and stays exact where a sum of exponentials would underflow.
    """
    if dist.get_world_size() == 1:
        return local
    return torch.stack(dist.all_gather(local)).logsumexp(dim=0)
