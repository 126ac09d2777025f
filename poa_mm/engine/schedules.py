"""Schedules of quantities that no optimiser holds, and those that it does."""

import math
from typing import Any

from mmengine.runner import Runner

SUBJECTS = {'lr': 'the learning rate', 'weight_decay': 'the weight decay'}


def cosine(start: float, end: float, step: int, num_steps: float) -> float:
    """Half a cosine from ``start`` at step 0 to ``end`` at ``num_steps``, then constant."""
    return end + (start - end) * (1 + math.cos(math.pi * _progress(step, num_steps))) / 2


def linear(start: float, end: float, step: int, num_steps: float) -> float:
    """A line from ``start`` at step 0 to ``end`` at ``num_steps``, then constant."""
    return start + (end - start) * _progress(step, num_steps)


def _progress(step: int, num_steps: float) -> float:
    return 1.0 if step >= num_steps else step / num_steps


def all_schedulers(runner: Runner) -> list[Any]:
    """All schedulers of a run, those of several optimisers in one list."""
    schedulers: Any = runner.param_schedulers or []
    if isinstance(schedulers, dict):
        return [scheduler for part in schedulers.values() for scheduler in part]
    return list(schedulers)


def subject(param_name: str) -> str:
    """What a scheduler's ``param_name`` is called in a sentence."""
    return SUBJECTS.get(param_name, param_name)
