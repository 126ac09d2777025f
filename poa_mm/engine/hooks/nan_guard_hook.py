"""The end of a run that no longer learns."""

import math
from typing import Any

from mmengine import dist
from mmengine.hooks import Hook
from mmengine.runner import Runner

from poa_mm.engine.inner_model import inner_model
from poa_mm.engine.optim_wrapper import StepGuard
from poa_mm.registry import HOOKS

ADVICE = (
    'Try: another seed or an earlier checkpoint, in case of bad luck; a lower learning rate or a '
    'longer warm-up; a smaller clip_grad.max_norm; bfloat16 or float32 in place of float16; and '
    'look for broken images if the first iterations fail already.'
)


@HOOKS.register_module()
class NanGuardHook(Hook):
    """Logs ``skipped_steps``, and stops all ranks together after too many bad steps in a row.

    Needs an optimiser wrapper that skips bad steps, such as
    :class:`~poa_mm.engine.GuardedOptimWrapper`.

    Args:
        max_in_a_row: Number of bad steps in a row that ends the run.

    Raises:
        ValueError: ``max_in_a_row`` below 1.
        TypeError: Before training, if the optimiser wrapper does not skip bad steps.
        RuntimeError: In training, on all ranks, after so many bad steps. Says when, which
            sub-networks and terms, what the terms were before, and what to try.
    """

    def __init__(self, max_in_a_row: int = 10) -> None:
        if max_in_a_row < 1:
            raise ValueError(f'max_in_a_row must be at least 1, got {max_in_a_row}')
        self.max_in_a_row = max_in_a_row
        self._non_finite: set[str] = set()

    def before_train(self, runner: Runner) -> None:
        """Look at the optimiser wrapper."""
        if not isinstance(runner.optim_wrapper, StepGuard):
            raise TypeError(
                'NanGuardHook needs GuardedOptimWrapper or GuardedAmpOptimWrapper, '
                f'got {type(runner.optim_wrapper).__name__}'
            )

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Count, and stop if the last good step lies too far back."""
        wrapper = runner.optim_wrapper
        bad = {name for name in outputs or {} if not math.isfinite(_history(runner, name)[-1])}
        # The log holds means over the ranks; what is this rank's own part in them?
        own = getattr(_model(runner), 'own_terms', {}) if bad else {}
        self._non_finite |= {name for name in bad if name not in own or not own[name].isfinite()}
        if not wrapper.should_update():
            return
        runner.message_hub.update_scalar('train/skipped_steps', wrapper.skipped)
        if not wrapper.last_step_skipped:
            self._non_finite.clear()
        elif wrapper.skipped_in_a_row >= self.max_in_a_row:
            raise RuntimeError(self._report(runner))

    def _report(self, runner: Runner) -> str:
        """What happened, the same text on all ranks."""
        wrapper = runner.optim_wrapper
        ranks = dist.all_gather_object((_subnet(runner), self._last_finite(runner)))
        lines = [
            f'stopped at iteration {runner.iter}: the gradient was not finite in '
            f'{wrapper.skipped_in_a_row} steps in a row ({wrapper.skipped} in the whole run); '
            'these steps were skipped'
        ]
        for rank, (subnet, terms) in enumerate(ranks):
            where = f'rank {rank}' + (f', sub-network {subnet}' if subnet else '')
            if terms:
                values = ', '.join(f'{name} (was {value})' for name, value in terms.items())
                lines.append(f'{where}: not finite: {values}')
        if len(lines) == 1:
            lines.append('all logged terms were finite: the backward pass was not')
        return '\n'.join([*lines, ADVICE])

    def _last_finite(self, runner: Runner) -> dict[str, str]:
        """The last finite value of each term that was not finite since the last good step."""
        found = {}
        for name in sorted(self._non_finite):
            finite = [value for value in _history(runner, name) if math.isfinite(value)]
            found[name] = f'{finite[-1]:.4g}' if finite else 'none'
        return found


def _history(runner: Runner, name: str) -> Any:
    """Values of a term so far, which mmengine has brought to the host for its log."""
    return runner.message_hub.get_scalar(f'train/{name}').data[0]


def _model(runner: Runner) -> Any:
    return inner_model(runner.model)


def _subnet(runner: Runner) -> str | None:
    sampler = getattr(_model(runner), 'sampler', None)
    return None if sampler is None else str(sampler(runner.iter, dist.get_rank()))
