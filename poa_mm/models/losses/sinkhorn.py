"""Teacher targets: Sinkhorn-Knopp over the global batch (paper Eq. 5)."""

from collections.abc import Sequence

import torch
from mmengine import dist
from torch import Tensor

from poa_mm.models.losses.precision import full_precision


@torch.no_grad()
def sinkhorn_knopp(
    logits: Sequence[Tensor], temperature: float, num_iters: int = 3
) -> list[Tensor]:
    """Assign samples to prototypes so that all prototypes are used alike.

    The matrix exp(logits / τ) is scaled alternately, so that over the *global* batch every
    prototype gets the same share, and then that every sample's assignment sums to one. All of it
    happens on logarithms, so no logit and no temperature can overflow or underflow. The ranks
    exchange one vector an iteration, shared by all heads; their batches may differ in size.

    Args:
        logits: Teacher logits of each head, (B, K_h). B is this rank's share of the batch, the
            same for every head.
        temperature: τ_t.
        num_iters: Number of alternations.

    Returns:
        Soft targets of each head, (B, K_h) in float32 (or float64); every row sums to one.
    """
    targets = [full_precision(head) / temperature for head in logits]
    sizes = [head.shape[1] for head in targets]
    for _ in range(num_iters):
        shares = _global_logsumexp(torch.cat([head.logsumexp(dim=0) for head in targets]))
        for head, share in zip(targets, shares.split(sizes), strict=True):
            head -= share
            head -= head.logsumexp(dim=1, keepdim=True)
    return [head.exp_() for head in targets]


def _global_logsumexp(local: Tensor) -> Tensor:
    """Combine each rank's logsumexp (K,) into that of the global batch.

    Gathering K numbers of each rank, instead of summing them, needs no maximum to be agreed on
    first and stays exact where a sum of exponentials would underflow.
    """
    if dist.get_world_size() == 1:
        return local
    return torch.stack(dist.all_gather(local)).logsumexp(dim=0)
