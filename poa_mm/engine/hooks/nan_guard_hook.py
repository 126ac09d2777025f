"""Stop a run whose loss or gradient stays NaN or infinite.

What happens when a loss is NaN: its gradient is NaN, too, and reaches all ranks with the average of
DDP. :class:`~poa_mm.engine.GuardedOptimWrapper` then skips the optimiser step on all ranks, POAHook
leaves the teacher as it is, and the run continues with the next batch. NanGuardHook counts the
skipped steps in a row; after ``max_in_a_row`` of them, 10 by default, it ends the run with an error
that names the losses, the sub-networks and what to try.
"""

import math
from typing import Any

from mmengine import dist
from mmengine.hooks import Hook
from mmengine.runner import Runner

from poa_mm.engine.inner_model import inner_model
from poa_mm.engine.optim_wrapper import StepGuard
from poa_mm.errors import DivergedError
from poa_mm.registry import HOOKS

ADVICE = (
    'Try: another seed or an earlier checkpoint, in case of bad luck; a lower learning rate or a '
    'longer warm-up; a smaller clip_grad.max_norm; bfloat16 or float32 in place of float16; and '
    'look for broken images if the first iterations fail already.'
)


@HOOKS.register_module()
class NanGuardHook(Hook):
    """Count skipped steps, and stop all ranks together after too many in a row.

    Logs ``skipped_steps``. Needs an optimiser wrapper that skips steps whose gradient is not
    finite, such as :class:`~poa_mm.engine.GuardedOptimWrapper`.

    Args:
        max_in_a_row: Number of skipped steps in a row that ends the run.

    Raises:
        ValueError: ``max_in_a_row`` below 1.
        TypeError: Before training, if the optimiser wrapper does not skip steps.
        DivergedError: In training, on all ranks, after ``max_in_a_row`` skipped steps. Names the
            iteration, the sub-networks and terms, the last finite values and what to try.
    """

    def __init__(self, max_in_a_row: int = 10) -> None:
        if max_in_a_row < 1:
            raise ValueError(f'max_in_a_row must be at least 1, got {max_in_a_row}')
        self.max_in_a_row = max_in_a_row
        self._non_finite: set[str] = set()

    def before_train(self, runner: Runner) -> None:
        """Check that the optimiser wrapper skips steps."""
        if not isinstance(runner.optim_wrapper, StepGuard):
            raise TypeError(
                'NanGuardHook needs GuardedOptimWrapper or GuardedAmpOptimWrapper, '
                f'got {type(runner.optim_wrapper).__name__}'
            )

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Count skipped steps; stop the run after too many in a row."""
        wrapper = runner.optim_wrapper
        bad = {name for name in outputs or {} if not math.isfinite(_history(runner, name)[-1])}
        # The log holds means over the ranks; own_terms says which of them this rank made bad.
        own = getattr(_model(runner), 'own_terms', {}) if bad else {}
        self._non_finite |= {name for name in bad if name not in own or not own[name].isfinite()}
        if not wrapper.should_update():
            return
        runner.message_hub.update_scalar('train/skipped_steps', wrapper.skipped)
        if not wrapper.last_step_skipped:
            self._non_finite.clear()
        elif wrapper.skipped_in_a_row >= self.max_in_a_row:
            raise DivergedError(self._report(runner))

    def _report(self, runner: Runner) -> str:
        """Describe what happened, in the same words on all ranks."""
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
        """Return the last finite value of each term that has not been finite since a good step."""
        found = {}
        for name in sorted(self._non_finite):
            finite = [value for value in _history(runner, name) if math.isfinite(value)]
            found[name] = f'{finite[-1]:.4g}' if finite else 'none'
        return found


def _history(runner: Runner, name: str) -> Any:
    """Return the values of a term so far, which mmengine has copied to the host for its log."""
    return runner.message_hub.get_scalar(f'train/{name}').data[0]


def _model(runner: Runner) -> Any:
    return inner_model(runner.model)


def _subnet(runner: Runner) -> str | None:
    sampler = getattr(_model(runner), 'sampler', None)
    return None if sampler is None else str(sampler(runner.iter, dist.get_rank()))
