"""A run on the terminal: what it is, how far it is, what it has left and how to go on."""

import re
import shlex
import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from datetime import timedelta
from typing import Any

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner

from poa_mm import screen
from poa_mm.engine import run_summary

REDRAW = 0.2  # seconds
WINDOW = 50  # iterations that losses are averaged over
# Sums of losses by what they teach, in any library; accuracies are averaged.
TERMS = {
    'intact': r'intact_',
    'elastic': r'elastic_',
    'same view': r'same_view_',
    'class': r'(.*\.)?loss_(rpn_)?cls$',
    'box': r'(.*\.)?loss_(rpn_)?bbox$',
    'mask': r'(.*\.)?loss_mask$',
}


class RunScreen(Hook):
    """Shows a run, and knows whether it has begun: until then a wrong setting deserves one line.

    On a terminal, a bar with the losses that count; elsewhere the log's lines do. The log itself
    goes to its file: see :mod:`poa_mm.screen`.
    """

    priority = 'LOWEST'  # after whatever refuses a run, and after the last checkpoint
    running = False

    def __init__(self) -> None:
        self.runner: Runner | None = None
        self._bar: screen.Bar | None = None
        self._evaluation = ExitStack()
        self._drawn = self._begun = 0.0

    def _before_iter(self, runner: Runner, *args: Any, **kwargs: Any) -> None:
        """The first iteration of any loop is about to start."""
        self.running = True

    def before_train(self, runner: Runner) -> None:
        """Say what the run is."""
        self.runner, self._begun = runner, time.monotonic()
        if is_main_process():
            screen.tell(runner.logger, run_summary.train_summary(runner))

    def before_test(self, runner: Runner) -> None:
        """Say what the test is."""
        self.runner = runner
        if is_main_process():
            screen.tell(runner.logger, run_summary.test_summary(runner))

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Move the bar."""
        if self._is_due():
            text = _losses(runner, outputs or ())
            self._show('training', runner.iter + 1, runner.max_iters, text)

    def after_val_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Move a second bar; after the last images, keep the tables of results off the terminal."""
        total = len(runner.val_dataloader)
        if self._is_due():
            self._show('validation', batch_idx + 1, total)
        if batch_idx + 1 == total:
            self._evaluation.enter_context(screen.prints_logged(runner.logger))

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Take the second bar away; the log shows the metrics."""
        self._evaluation.close()
        if self._bar is not None:
            self._bar.remove('validation')

    def after_test_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Move the bar; after the last images, make room for tables of results."""
        total = len(runner.test_dataloader)
        if batch_idx + 1 == total:
            self.close()
            screen.show_results(runner.logger, everything=True)
        elif self._is_due():
            self._show('test', batch_idx + 1, total)

    def after_test(self, runner: Runner) -> None:
        """Say where the log is."""
        screen.show_results(runner.logger, everything=False)
        if is_main_process():
            screen.tell(runner.logger, run_summary.test_results(runner))

    def after_train(self, runner: Runner) -> None:
        """Say what the run has left, and what can be done with it."""
        self.close()
        if is_main_process():
            taken = timedelta(seconds=round(time.monotonic() - self._begun))
            text = f'done in {taken}\n{run_summary.train_results(runner)}'
            screen.tell(runner.logger, f'{text}\n{run_summary.next_steps(runner)}'.rstrip())

    def close(self) -> None:
        """Give the terminal back, however the run has ended."""
        self._evaluation.close()
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def how_to_resume(self) -> str:
        """What a user who has interrupted a run needs, in one line."""
        runner = self.runner
        if runner is None or not self.running or runner.cfg.get('train_cfg') is None:
            return 'stopped'
        done = f'stopped after iteration {runner.iter:,} of {runner.max_iters:,}'
        saved = runner.message_hub.runtime_info.get('last_ckpt') or runner.cfg.get('load_from')
        if not saved:
            return f'{done}; no checkpoint has been saved yet'
        return f'{done}; go on from {run_summary.shown(saved)} with: {_resuming(sys.argv)}'

    def _is_due(self) -> bool:
        """Whether someone looks, and the bar is older than it may be."""
        now = time.monotonic()
        if now - self._drawn < REDRAW or not is_main_process() or not screen.is_terminal():
            return False
        self._drawn = now
        return True

    def _show(self, name: str, done: int, total: int, text: str = '') -> None:
        # Not before the first iteration: by then the data loader has its processes.
        if self._bar is None and self.runner is not None:
            self._bar = screen.Bar(self.runner.logger)
        if self._bar is not None:
            self._bar.show(name, done, total, text)


def _losses(runner: Runner, names: Iterable[str]) -> str:
    """The loss and its parts, as means over some iterations."""
    hub = runner.message_hub
    means = {name: hub.get_scalar(f'train/{name}').mean(WINDOW) for name in names}
    parts = {'loss': means['loss']} if 'loss' in means else {}
    for part, pattern in TERMS.items():
        found = [value for name, value in means.items() if re.match(pattern, name)]
        if found:
            parts[part] = sum(found)
    return '  '.join(f'{part} {value:.2f}' for part, value in parts.items())


def _resuming(argv: Sequence[str]) -> str:
    """The command that goes on from the latest checkpoint of a run that ``argv`` has started."""
    words, rest = ['python'], iter(argv)
    for word in rest:
        if word == '--resume':
            word = next(rest, '-')  # its value, or the next option
            if not word.startswith('--'):
                continue
        if not word.startswith('--resume='):
            words.append(word)
    return shlex.join([*words, '--resume'])
