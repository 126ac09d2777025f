"""Compute schedules that are not the optimiser's, and find those that are."""

import math
from typing import Any

from mmengine.runner import Runner

SUBJECTS = {'lr': 'the learning rate', 'weight_decay': 'the weight decay'}


def cosine(start: float, end: float, step: int, num_steps: float) -> float:
    """Follow half a cosine from ``start`` at step 0 to ``end`` at ``num_steps``, then ``end``.

    >>> [round(cosine(1.0, 0.0, step, num_steps=4), 3) for step in (0, 2, 4, 9)]
    [1.0, 0.5, 0.0, 0.0]
    """
    return end + (start - end) * (1 + math.cos(math.pi * _progress(step, num_steps))) / 2


def linear(start: float, end: float, step: int, num_steps: float) -> float:
    """Follow a line from ``start`` at step 0 to ``end`` at ``num_steps``, then ``end``.

    >>> [linear(0.04, 0.08, step, num_steps=4) for step in (0, 2, 4, 9)]
    [0.04, 0.06, 0.08, 0.08]
    """
    return start + (end - start) * _progress(step, num_steps)


def _progress(step: int, num_steps: float) -> float:
    return 1.0 if step >= num_steps else step / num_steps


def all_schedulers(runner: Runner) -> list[Any]:
    """List all schedulers of a run, also those of several optimisers."""
    schedulers: Any = runner.param_schedulers or []
    if isinstance(schedulers, dict):
        return [scheduler for part in schedulers.values() for scheduler in part]
    return list(schedulers)


def subject(param_name: str) -> str:
    """Return the words for a scheduler's ``param_name`` in a sentence."""
    return SUBJECTS.get(param_name, param_name)
