"""Losses over prototypes in chunks: all logits of a step at once would not fit into memory.

The heads of the paper have 122,880 prototypes, and a step has thousands of tokens a GPU. Logits are
therefore computed from the bottleneck's features (N, d) and the prototypes (K, d), a chunk of
tokens at a time, and again in the backward pass.

All logits here are without a temperature, which :mod:`~poa_mm.models.losses.probabilities` applies.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

MAX_LOGITS = 2**24  # of one chunk; 64 MiB in float32

Index = int | slice | tuple[int | slice, ...]
Terms = dict[str, Tensor]


def full_precision(x: Tensor) -> Tensor:
    """Return ``x`` in float32 at least: in bf16, logits would lose the detail of the loss.

    float64 is kept.
    """
    return x.to(torch.promote_types(x.dtype, torch.float32))


def without_autocast(device: str) -> AbstractContextManager:
    """Compute in the precision of the operands on a type of device, also on one without autocast.

    Such a one is the meta device, on which the cost of a step is counted.
    """
    available = torch.amp.is_autocast_available(device)
    return torch.autocast(device, enabled=False) if available else nullcontext()


def prototype_logits(features: Tensor, prototypes: Tensor) -> Tensor:
    """Compute the logits (…, K), in float32 at least, of features (…, d) and prototypes (K, d)."""
    return full_precision(F.linear(features, prototypes))


@dataclass(frozen=True)
class PrototypeLogits:
    """Logits of tokens, computed when they are asked for.

    Index it for the logits of some tokens, (…, K). Iterate over it for those of all tokens in
    chunks, (n, K) each, of which there is at least one, perhaps of no token.

    Attributes:
        features: Bottleneck of the tokens, (…, d), such as (views, images, d).
        prototypes: Prototypes of the head, (K, d).
    """

    features: Tensor
    prototypes: Tensor

    def __getitem__(self, tokens: Index) -> Tensor:
        return prototype_logits(self.features[tokens], self.prototypes)

    def __iter__(self) -> Iterator[Tensor]:
        rows = self.features.flatten(end_dim=-2)
        for chunk in rows.split(_chunk_size(len(self.prototypes))):
            yield prototype_logits(chunk, self.prototypes)


def chunk_slices(length: int, logits_each: int) -> Iterator[slice]:
    """Cut ``length`` things that have ``logits_each`` logits each into consecutive slices.

    A slice holds at least one thing, and as many as stay within ``MAX_LOGITS``.
    """
    size = _chunk_size(logits_each)
    for start in range(0, length, size):
        yield slice(start, min(start + size, length))


def sum_over_chunks(terms: Callable[[slice], Terms], length: int, logits_each: int) -> Terms:
    """Sum ``terms(chunk)`` by name, without keeping a chunk's logits for the backward pass.

    Args:
        terms: Function of a slice of the tokens. It must draw no random numbers.
        length: Number of tokens; at least one.
        logits_each: Number of logits that one token has.
    """
    chunks = list(chunk_slices(length, logits_each))
    if len(chunks) == 1:  # small enough to be kept
        return terms(chunks[0])
    parts = [
        checkpoint(terms, chunk, use_reentrant=False, preserve_rng_state=False) for chunk in chunks
    ]
    return {name: torch.stack([part[name] for part in parts]).sum() for name in parts[0]}


def _chunk_size(logits_each: int) -> int:
    return max(1, MAX_LOGITS // logits_each)
