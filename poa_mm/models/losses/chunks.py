"""Losses over prototypes in chunks: all logits of a step at once would not fit into memory.

The heads of the paper have 122,880 prototypes, and a step has thousands of tokens a GPU. Logits are
therefore computed from the bottleneck's features (N, d) and the prototypes (K, d), a chunk of
tokens at a time, and again in the backward pass.
"""

from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

MAX_LOGITS = 2**24  # of one chunk; 64 MiB in float32


def full_precision(x: Tensor) -> Tensor:
    """``x`` in float32, or in float64 where it is given so: bf16 logits lose the loss's detail."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def prototype_logits(features: Tensor, prototypes: Tensor, temperature: float) -> Tensor:
    """Logits divided by τ, (N, K) in float32 at least, of features (N, d) and prototypes (K, d)."""
    return full_precision(F.linear(features, prototypes)) / temperature


def chunk_slices(length: int, logits_each: int) -> Iterator[slice]:
    """Consecutive slices of ``length`` things that have ``logits_each`` logits each.

    A slice holds at least one thing, and as many as stay within ``MAX_LOGITS``.
    """
    size = max(1, MAX_LOGITS // logits_each)
    for start in range(0, length, size):
        yield slice(start, min(start + size, length))


def sum_over_chunks(terms: Callable[[slice], Tensor], length: int, logits_each: int) -> Tensor:
    """Sum of ``terms(chunk)``, without keeping what a chunk computes for the backward pass.

    Args:
        terms: Function of a slice of the tokens. It must draw no random numbers.
        length: Number of tokens; at least one.
        logits_each: Logits that one token has.
    """
    chunks = list(chunk_slices(length, logits_each))
    if len(chunks) == 1:  # small enough to be kept
        return terms(chunks[0])
    parts = [
        checkpoint(terms, chunk, use_reentrant=False, preserve_rng_state=False) for chunk in chunks
    ]
    return sum(parts[1:], start=parts[0])
