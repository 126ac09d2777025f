"""Save checkpoints safely: never touch those of other runs, always have a complete one."""

import logging
import re
from collections import deque
from pathlib import Path
from typing import Any

from mmengine import fileio
from mmengine.dist import is_main_process
from mmengine.hooks import CheckpointHook
from mmengine.logging import print_log
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from poa_mm.engine.run_folder import BEST, LATEST, checkpoint_folder
from poa_mm.errors import InputError
from poa_mm.files import PARTIAL, replaced

BEST_PATH = 'best_ckpt'  # in the message hub; one of several metrics adds _<metric>
BEST_SCORE = 'best_score'


@HOOKS.register_module(name='CheckpointHook', force=True)
class RunCheckpointHook(CheckpointHook):
    """Save checkpoints as mmengine's hook does, but safely for the files of all runs.

    Registered under the name of mmengine's, which any config already has; takes its arguments.

    - A run resumed from another folder leaves the checkpoints there alone: it neither deletes them
      nor compares with their best score. A best score is kept only if its checkpoint lies in this
      run's folder.
    - A checkpoint is first written completely, then old ones, regular or best, are deleted. So
      there is a complete checkpoint at any time.
    - A file that an interrupted run has left half-written is deleted.

    Raises:
        InputError: At the first validation, if ``save_best`` is none of its metrics.
    """

    file_backend: Any

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Remove the files of other runs from the state to resume."""
        hub = checkpoint.get('message_hub')
        if not isinstance(hub, dict):
            return
        folder = checkpoint_folder(runner.work_dir, self.out_dir)
        info = {**hub['runtime_info']}
        for name in [name for name in info if name.startswith(BEST_PATH)]:
            self._settle_best(info, name, folder)
        kept = [n for n in info.pop('keep_ckpt_ids', []) if self._exists(folder, n)]
        if kept:
            info['keep_ckpt_ids'] = kept
        info.pop('last_ckpt', None)
        gone = set(hub['runtime_info']) - set(info)
        hub['resumed_keys'] = {k: v for k, v in hub['resumed_keys'].items() if k not in gone}
        hub['runtime_info'] = info

    def _settle_best(self, info: dict[str, Any], name: str, folder: str) -> None:
        """Find the best checkpoint of a metric in this run's folder, or drop its score."""
        path, score_name = Path(info.pop(name)), name.replace(BEST_PATH, BEST_SCORE, 1)
        score = info.pop(score_name, None)
        own = fileio.join_path(folder, path.name)
        is_here = fileio.isfile(own, self.backend_args)
        if is_here and score is not None and self._measures(name, path.name):
            info.update({name: own, score_name: score})
        elif self.save_best:
            print_log(
                f'the best score so far, {score}, is of {path}, which is not a best checkpoint by '
                f'{", ".join(self.save_best)} in {folder}: the search for the best starts again',
                logger='current',
                level=logging.WARNING,
            )

    def _measures(self, key: str, file_name: str) -> bool:
        """Tell whether a best checkpoint is the best by this run's metric."""
        metrics = [key.removeprefix(f'{BEST_PATH}_')]
        if key == BEST_PATH:  # of the only metric, which its file's name has
            metrics = list(self.save_best or [])
        names = [metric.replace('/', '_') for metric in metrics]
        return 'auto' in names or any(file_name.startswith(f'{BEST}{name}_') for name in names)

    def _exists(self, folder: str, step: int) -> bool:
        path = fileio.join_path(folder, self.filename_tmpl.format(step))
        return fileio.isfile(path, self.backend_args) or fileio.isdir(path, self.backend_args)

    def before_train(self, runner: Runner) -> None:
        """Clean up after a run that was killed while it saved."""
        super().before_train(runner)
        if is_main_process() and Path(self.out_dir).is_dir():
            for path in Path(self.out_dir).glob(f'*{PARTIAL}'):
                if self._is_checkpoint(path.name.removesuffix(PARTIAL)):
                    path.unlink()
                    runner.logger.warning(f'deleted {path}, left incomplete by an interrupted run')

    def _is_checkpoint(self, name: str) -> bool:
        before, _, after = self.filename_tmpl.partition('{}')
        pattern = f'({BEST}.*)?{re.escape(before)}[0-9]+{re.escape(after)}'
        return re.fullmatch(pattern, name) is not None

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict) -> None:
        """Save a regular checkpoint, then delete those beyond ``max_keep_ckpts``."""
        kept = self._with(step)
        if kept:  # the file lists itself and those to go, should the run end before they have gone
            runner.message_hub.update_info('keep_ckpt_ids', kept)
        name = self.filename_tmpl.format(step)
        self.last_ckpt = self.file_backend.join_path(self.out_dir, name)
        runner.message_hub.update_info('last_ckpt', self.last_ckpt)
        runner.save_checkpoint(
            self.out_dir,
            name,
            self.file_client_args,
            save_optimizer=self.save_optimizer,
            save_param_scheduler=self.save_param_scheduler,
            meta=meta,
            by_epoch=self.by_epoch,
            backend_args=self.backend_args,
            **self.args,
        )
        if is_main_process():
            with replaced(Path(runner.work_dir) / LATEST) as path:
                path.write_text(self.last_ckpt)
        if kept:
            self.keep_ckpt_ids = deque(kept, self.max_keep_ckpts)
            runner.message_hub.update_info('keep_ckpt_ids', list(self.keep_ckpt_ids))
            outdated = [number for number in kept if number not in self.keep_ckpt_ids]
            self._remove(
                [
                    self.file_backend.join_path(self.out_dir, self.filename_tmpl.format(number))
                    for number in outdated
                ]
            )

    def _with(self, step: int) -> list[int]:
        """List the steps of the checkpoints to keep and of this one; none if all are kept."""
        if self.max_keep_ckpts <= 0:
            return []
        return [*(number for number in self.keep_ckpt_ids if number != step), step]

    def _save_best_checkpoint(self, runner: Runner, metrics: dict[str, Any]) -> None:
        """Save a checkpoint that is better than all before, then delete the one it replaces."""
        if not self.save_best:
            return
        unknown = [name for name in self.key_indicators if name not in {*metrics, 'auto'}]
        if unknown:
            raise InputError(
                f'save_best of CheckpointHook must be among the metrics {sorted(metrics)}, '
                f'got {unknown}'
            )
        backend, queue = self.file_backend, _DeletionQueue(self.file_backend)
        self.file_backend = queue
        try:
            super()._save_best_checkpoint(runner, metrics)
        finally:
            self.file_backend = backend
        self._remove([path for path in queue.paths if path not in self._current_files()])

    def _current_files(self) -> set[str | None]:
        best = getattr(self, 'best_ckpt_path_dict', {}).values()
        return {self.last_ckpt, getattr(self, 'best_ckpt_path', None), *best}

    def _remove(self, paths: list[str]) -> None:
        if not is_main_process():
            return
        for path in paths:
            if self.file_backend.isfile(path):
                self.file_backend.remove(path)
            elif self.file_backend.isdir(path):  # of deepspeed
                self.file_backend.rmtree(path)


class _DeletionQueue:
    """Note what a file backend is asked to delete, and delete nothing."""

    def __init__(self, backend: Any) -> None:
        self._backend = backend
        self.paths: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    def remove(self, path: str) -> None:
        self.paths.append(path)

    rmtree = remove
