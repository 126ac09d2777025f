"""Show a run on the terminal: summary, progress, results, and how to resume it."""

import re
import shlex
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from typing import Any

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.logging import MMLogger
from mmengine.runner import Runner

from poa_mm import screen
from poa_mm.engine import run_summary
from poa_mm.errors import DivergedError, InputError, RunFailedError, is_mistake

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
    """Show a run, and know whether it has begun: until then a wrong setting deserves one line.

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
        """Note that the first iteration of a loop is about to start."""
        self.running = True

    def before_train(self, runner: Runner) -> None:
        """Print the summary of the run."""
        self.runner, self._begun = runner, time.monotonic()
        if is_main_process():
            screen.tell(runner.logger, run_summary.train_summary(runner))

    def before_test(self, runner: Runner) -> None:
        """Print the summary of the test."""
        self.runner = runner
        if is_main_process():
            screen.tell(runner.logger, run_summary.test_summary(runner))

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Update the bar."""
        if self._is_due():
            text = _losses(runner, outputs or ())
            self._show('training', runner.iter + 1, runner.max_iters, text)

    def after_val_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Update a second bar; after the last images, keep tables of results off the terminal."""
        total = len(runner.val_dataloader)
        if self._is_due():
            self._show('validation', batch_idx + 1, total)
        if batch_idx + 1 == total:
            self._evaluation.enter_context(screen.prints_logged(runner.logger))

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Remove the second bar; the log shows the metrics."""
        self._evaluation.close()
        if self._bar is not None:
            self._bar.remove('validation')

    def after_test_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Update the bar; after the last images, remove it and show the tables of results."""
        total = len(runner.test_dataloader)
        if batch_idx + 1 == total:
            self.close()
            screen.show_results(runner.logger, everything=True)
        elif self._is_due():
            self._show('test', batch_idx + 1, total)

    def after_test(self, runner: Runner) -> None:
        """Print where the log is."""
        screen.show_results(runner.logger, everything=False)
        if is_main_process():
            screen.tell(runner.logger, run_summary.test_results(runner))

    def after_train(self, runner: Runner) -> None:
        """Print what the run has saved, and commands to use it."""
        self.close()
        if is_main_process():
            taken = timedelta(seconds=round(time.monotonic() - self._begun))
            text = f'done in {taken}\n{run_summary.train_results(runner)}'
            screen.tell(runner.logger, f'{text}\n{run_summary.next_steps(runner)}'.rstrip())

    def close(self) -> None:
        """Remove the bars, however the run has ended."""
        self._evaluation.close()
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def how_to_resume(self) -> str:
        """Write how far an interrupted run is and how to resume it, in one line."""
        runner = self.runner
        if runner is None or not self.running or runner.cfg.get('train_cfg') is None:
            return 'stopped'
        done = f'stopped after iteration {runner.iter:,} of {runner.max_iters:,}'
        saved = runner.message_hub.runtime_info.get('last_ckpt') or runner.cfg.get('load_from')
        if not saved:
            return f'{done}; no checkpoint has been saved yet'
        return f'{done}; resume from {run_summary.shown(saved)} with: {_resuming(sys.argv)}'

    def _is_due(self) -> bool:
        """Tell whether to redraw: there is a terminal, and the last drawing is old enough."""
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


@contextmanager
def on_screen() -> Iterator[RunScreen]:
    """Show a run on the terminal, and log the traceback of what ends it.

    Yields:
        The hook to register with the runner.

    Raises:
        RunFailedError: Instead of an error that is no mistake of the user. Once iterations run, an
            :class:`~poa_mm.errors.InputError` alone is one.
        KeyboardInterrupt: With what the user needs to go on with the run as its text.
    """
    run, before = RunScreen(), MMLogger.get_current_instance()
    try:
        yield run
    except KeyboardInterrupt:
        run.close()
        raise KeyboardInterrupt(run.how_to_resume()) from None
    except Exception as error:
        run.close()
        logger = MMLogger.get_current_instance()
        log = None if logger is before else screen.log_traceback(logger, error)
        expected = InputError | DivergedError
        if isinstance(error, expected) or (not run.running and is_mistake(error)):
            raise
        raise RunFailedError(None if log is None else run_summary.shown(log)) from error
    finally:
        run.close()


def _losses(runner: Runner, names: Iterable[str]) -> str:
    """Write the loss and its parts, as means over some iterations."""
    hub = runner.message_hub
    means = {name: hub.get_scalar(f'train/{name}').mean(WINDOW) for name in names}
    parts = {'loss': means['loss']} if 'loss' in means else {}
    for part, pattern in TERMS.items():
        found = [value for name, value in means.items() if re.match(pattern, name)]
        if found:
            parts[part] = sum(found)
    return '  '.join(f'{part} {value:.2f}' for part, value in parts.items())


def _resuming(argv: Sequence[str]) -> str:
    """Write the command that resumes a run that ``argv`` has started."""
    words, rest = ['python'], iter(argv)
    for word in rest:
        if word == '--resume':
            word = next(rest, '-')  # its value, or the next option
            if not word.startswith('--'):
                continue
        if not word.startswith('--resume='):
            words.append(word)
    return shlex.join([*words, '--resume'])
