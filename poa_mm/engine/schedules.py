"""Schedules of quantities that no optimiser holds."""

import math


def cosine(start: float, end: float, step: int, num_steps: int) -> float:
    """Half a cosine from ``start`` at step 0 to ``end`` at ``num_steps``, then constant."""
    progress = min(step / max(num_steps, 1), 1.0)
    return end + (start - end) * (1 + math.cos(math.pi * progress)) / 2


def linear(start: float, end: float, step: int, num_steps: int) -> float:
    """A line from ``start`` at step 0 to ``end`` at ``num_steps``, then constant."""
    return start + (end - start) * min(step / max(num_steps, 1), 1.0)
