"""Schedules of quantities that no optimiser holds."""

import math


def cosine(start: float, end: float, step: int, num_steps: float) -> float:
    """Half a cosine from ``start`` at step 0 to ``end`` at ``num_steps``, then constant."""
    return end + (start - end) * (1 + math.cos(math.pi * _progress(step, num_steps))) / 2


def linear(start: float, end: float, step: int, num_steps: float) -> float:
    """A line from ``start`` at step 0 to ``end`` at ``num_steps``, then constant."""
    return start + (end - start) * _progress(step, num_steps)


def _progress(step: int, num_steps: float) -> float:
    return 1.0 if step >= num_steps else step / num_steps
