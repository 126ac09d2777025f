"""Processes that share an evaluation, as torchrun starts them."""

import os
from collections.abc import Sequence
from typing import Any

import torch
import torch.distributed as torch_dist
import torch.nn.functional as F
from mmengine import dist
from torch import Tensor

from poa_mm.engine.gloo import init_gloo

__all__ = ['batches_of_rank', 'from_first_rank', 'gather_rows', 'is_first', 'join_ranks']


def join_ranks(device: torch.device) -> torch.device:
    """Join the processes that torchrun has started, if any.

    Args:
        device: Where the user wants to compute.

    Returns:
        Where this process computes: on machines with GPUs, each has its own.
    """
    if int(os.environ.get('WORLD_SIZE', '1')) > 1 and not torch_dist.is_initialized():
        if device.type == 'cuda':
            device = torch.device('cuda', int(os.environ.get('LOCAL_RANK', '0')))
            torch.cuda.set_device(device)
            torch_dist.init_process_group('nccl')
        else:
            init_gloo()
    return device


def is_first() -> bool:
    """Tell whether this is the process that writes files and prints."""
    return dist.is_main_process()


def from_first_rank(value: Any) -> Any:
    """Return what the first process has as a value, on all of them."""
    if dist.get_world_size() == 1:
        return value
    values = [value]
    dist.broadcast_object_list(values)
    return values[0]


def batches_of_rank(
    count: int, batch_size: int, rank: int = 0, world_size: int = 1
) -> list[list[int]]:
    """Return the batches that a process goes through: every ``world_size``-th one.

    Batches are those of a single process, so each image is in the same company whatever the number
    of processes, and its features are the same to the bit.

    Args:
        count: Number of images.
        batch_size: Images per batch.
        rank: Number of the process.
        world_size: Number of processes.

    Example:
        >>> batches_of_rank(7, 2, rank=1, world_size=2)
        [[2, 3], [6]]
    """
    starts = range(0, count, batch_size)
    return [list(range(start, min(start + batch_size, count))) for start in starts][
        rank::world_size
    ]


def gather_rows(part: Tensor, rows: Tensor, total: int) -> Tensor:
    """Join the rows that all processes have.

    Args:
        part: Rows of this process, (n, …), of which other processes may have more or fewer.
        rows: Where they belong, (n,).
        total: Number of rows of all processes.

    Returns:
        All rows, (total, …), on all processes.
    """
    if dist.get_world_size() == 1:
        return part
    counts: Sequence[int] = dist.all_gather_object(len(rows))
    longest = max(counts)
    padded = F.pad(part, [0, 0] * (part.ndim - 1) + [0, longest - len(part)])
    parts = dist.all_gather(padded)
    places = dist.all_gather(F.pad(rows, [0, longest - len(rows)]))
    joined = part.new_empty(total, *part.shape[1:])
    for count, values, where in zip(counts, parts, places, strict=True):
        joined[where[:count]] = values[:count]
    return joined
