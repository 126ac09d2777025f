"""Say during pre-training that the teacher has collapsed, and what to change."""

from typing import Any

from mmengine import dist
from mmengine.hooks import Hook
from mmengine.runner import Runner

from poa_mm.engine.hooks.poa_hook import poa_of
from poa_mm.evaluation.label_free.collapse import TeacherWatch, collapse_signs
from poa_mm.evaluation.label_free.collapse_advice import advice
from poa_mm.registry import HOOKS

CHECKS_PER_EPOCH = 4
MAX_INTERVAL = 200


@HOOKS.register_module()
class CollapseHook(Hook):
    """Log how much the teacher tells images apart; warn of a collapse, with the remedy.

    Logs ``rankme``, ``target_entropy`` and ``prototypes_in_use``, see
    :class:`~poa_mm.evaluation.label_free.collapse.TeacherState`. They come from what the teacher
    computes for the loss anyway, for the last batches before each check: there is no further
    forward pass, no random number and no change of the training. Between checks no device is
    waited for.

    Args:
        interval: Iterations between checks; ``None`` is a quarter of a pass over the data, and at
            most 200.
        batches: Batches that a check looks at.
        patience: Number of checks in a row that must show a sign before it is named. With the
            default interval this is within one pass over the data.

    Raises:
        ValueError: An argument is below 1.
    """

    priority = 'NORMAL'  # before LoggerHook

    def __init__(self, interval: int | None = None, batches: int = 4, patience: int = 3) -> None:
        given = {'interval': interval, 'batches': batches, 'patience': patience}
        for name, value in given.items():
            if value is not None and value < 1:
                raise ValueError(f'{name} of CollapseHook must be at least 1, got {value}')
        self.interval = interval
        self.batches = batches
        self.patience = patience

    def before_train(self, runner: Runner) -> None:
        """Find the interval, and begin to count."""
        loader = runner.train_dataloader
        epoch = len(loader.dataset) // (loader.batch_size * dist.get_world_size())
        self.every = self.interval or max(min(epoch // CHECKS_PER_EPOCH, MAX_INTERVAL), 1)
        self._lasting: dict[str, int] = {}  # checks in a row by kind of collapse
        self._watch = TeacherWatch()

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Let the model show what its teacher computes, in the last iterations before a check."""
        observed = self.every - runner.iter % self.every <= self.batches
        poa_of(runner, self).watch = self._watch if observed else None

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Log, and warn of what has lasted."""
        if (runner.iter + 1) % self.every:
            return
        state, self._watch = self._watch.state(), TeacherWatch()
        if state is None:
            return
        for name, value in state.scalars.items():
            runner.message_hub.update_scalar(f'train/{name}', value)
        signs = dict(collapse_signs(state))
        for kind in self._lasting:
            if kind not in signs and self._lasting[kind] >= self.patience:
                runner.logger.warning(f'iteration {runner.iter + 1}: no longer {kind}')
        self._lasting = {kind: self._lasting.get(kind, 0) + 1 for kind in signs}
        for kind, sign in signs.items():
            if self._is_due(self._lasting[kind]):
                since = (self._lasting[kind] - 1) * self.every
                remedy = advice(kind, poa_of(runner, self))
                runner.logger.warning(
                    f'collapse at iteration {runner.iter + 1}: for {since:,} iterations {sign}. '
                    f'{remedy}'
                )

    def after_train(self, runner: Runner) -> None:
        """Let go of the model."""
        poa_of(runner, self).watch = None

    def _is_due(self, checks: int) -> bool:
        """Tell whether to warn: at ``patience`` checks in a row, at twice as many, and so on."""
        times, rest = divmod(checks, self.patience)
        return not rest and times & (times - 1) == 0
