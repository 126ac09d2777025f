"""Histories of logged scalars that do not grow with the run."""

from typing import Any

from mmengine.hooks import Hook
from mmengine.logging import HistoryBuffer
from mmengine.registry import HOOKS
from mmengine.runner import LogProcessor, Runner

KEPT = 1000  # for whoever looks back, such as NanGuardHook
TIMES = ('time', 'data_time')  # averaged over a whole validation


@HOOKS.register_module()
class HistoryHook(Hook):
    """Keeps of each scalar's history what the log looks back at, and no more.

    mmengine keeps up to a million values of each, copies them at every iteration to append one, and
    saves them in every checkpoint. What the log says stays the same: a history is as long as the
    largest window of ``log_processor`` on that scalar, at least 1000. One over which it takes a
    ``'global'`` window is kept whole. Longer ones that a checkpoint brings along are cut.

    ``launch.build_runner`` adds this hook to every run.
    """

    def __init__(self) -> None:
        self._bounded: set[str] = set()

    def before_train(self, runner: Runner) -> None:
        """Cut what a checkpoint has brought along."""
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
    """How far back the log looks at a scalar; ``None`` for the whole run."""
    mode, _, name = scalar.partition('/')
    windows: list[Any] = [KEPT, processor.window_size]
    windows += [cfg.get('window_size') for cfg in processor.custom_cfg if cfg['data_src'] == name]
    if name in TIMES and mode != 'train':
        windows.append('epoch')
    if 'global' in windows or None in windows:
        return None
    return max(epoch_length if size == 'epoch' else size for size in windows)
