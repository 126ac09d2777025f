"""Bound the histories of logged scalars, which would grow with the run."""

from typing import Any

from mmengine.hooks import Hook
from mmengine.logging import HistoryBuffer
from mmengine.registry import HOOKS
from mmengine.runner import LogProcessor, Runner

KEPT = 1000  # values at least, for hooks such as NanGuardHook
TIMES = ('time', 'data_time')  # averaged over a whole validation


@HOOKS.register_module()
class HistoryHook(Hook):
    """Keep only as much of each scalar's history as the log averages over.

    mmengine keeps up to a million values of each, copies them at every iteration to append one, and
    saves them in every checkpoint. Here a history is as long as the largest window of
    ``log_processor`` on that scalar, and at least 1000 values, so the log stays the same. A history
    with a ``'global'`` window is kept whole. Longer ones in a resumed checkpoint are cut.

    ``launch.build_runner`` adds this hook to every run.
    """

    def __init__(self) -> None:
        self._bounded: set[str] = set()

    def before_train(self, runner: Runner) -> None:
        """Cut the histories that a checkpoint has restored."""
        self._bounded.clear()
        for name in runner.message_hub.log_scalars:
            _bound(runner, name, KEPT)

    def _after_iter(self, runner: Runner, *args: Any, mode: str = 'train', **kwargs: Any) -> None:
        """Bound what this loop has logged for the first time."""
        for name in runner.message_hub.log_scalars:
            if name not in self._bounded and name.startswith(mode):
                _bound(runner, name, len(getattr(runner, f'{mode}_dataloader')))
                self._bounded.add(name)


def _bound(runner: Runner, name: str, epoch_length: int) -> None:
    length = _window(runner.log_processor, name, epoch_length)
    if length is not None:
        scalars = runner.message_hub.log_scalars
        values, counts = scalars[name].data
        scalars[name] = HistoryBuffer(values[-length:], counts[-length:], max_length=length)


def _window(processor: LogProcessor, scalar: str, epoch_length: int) -> int | None:
    """Return how many values of a scalar the log averages; ``None`` for the whole run."""
    mode, _, name = scalar.partition('/')
    windows: list[Any] = [KEPT, processor.window_size]
    windows += [cfg.get('window_size') for cfg in processor.custom_cfg if cfg['data_src'] == name]
    if name in TIMES and mode != 'train':
        windows.append('epoch')
    if 'global' in windows or None in windows:
        return None
    return max(epoch_length if size == 'epoch' else size for size in windows)
