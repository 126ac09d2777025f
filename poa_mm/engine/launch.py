"""Build the runner of a config with command-line options, on GPUs and on CPUs."""

import logging
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dist import is_main_process
from mmengine.evaluator import Evaluator
from mmengine.logging import MMLogger
from mmengine.model import MMDistributedDataParallel, revert_sync_batchnorm
from mmengine.registry import HOOKS, MODEL_WRAPPERS
from mmengine.runner import BaseLoop, Runner
from torch import nn
from torch.utils.data import DataLoader

from poa_mm import screen
from poa_mm.engine import config_check, hooks, run_folder
from poa_mm.engine.annotation_files import with_checked_files
from poa_mm.engine.gloo import init_gloo
from poa_mm.engine.run_length import merge_options as merge_options
from poa_mm.engine.run_length import without_short_warmups
from poa_mm.engine.run_screen import on_screen as on_screen
from poa_mm.engine.run_summary import log_file, shown
from poa_mm.errors import InputError as InputError
from poa_mm.files import check_file

AMP_WRAPPERS = {'OptimWrapper': 'AmpOptimWrapper', 'GuardedOptimWrapper': 'GuardedAmpOptimWrapper'}
FLOAT32_WRAPPERS = {mixed: plain for plain, mixed in AMP_WRAPPERS.items()}
LR_RULES: dict[str, Callable[[float], float]] = {'sqrt': math.sqrt, 'linear': float}
WORLD_SIZE_VARIABLES = {'pytorch': 'WORLD_SIZE', 'slurm': 'SLURM_NTASKS'}
# By default scope: the hook that no run does without, registered by the room of that library.
DATA_CHECKS = {'mmdet': 'AnnotationCheckHook'}
STARTERS = {'pytorch': 'torchrun or tools/dist_train.sh', 'slurm': 'srun'}


@MODEL_WRAPPERS.register_module()
class CPUDistributedDataParallel(MMDistributedDataParallel):
    """Wrap a model in DDP with batch normalisation per rank, as SyncBN needs GPUs."""

    def __init__(self, module: nn.Module, *args: Any, **kwargs: Any) -> None:
        super().__init__(revert_sync_batchnorm(module), *args, **kwargs)


class CheckedRunner(Runner):
    """Run as mmengine does, with the hooks that check every run.

    The hooks are added here, so that configs also work with the libraries' own tools. The terminal
    shows what matters of the log, and the log file all of it. mmdet's data sets and metrics check
    the annotation files that they read.
    """

    def build_logger(self, *args: Any, **kwargs: Any) -> MMLogger:
        """Build the logger, whose terminal shows only what matters."""
        logger = super().build_logger(*args, **kwargs)
        screen.quiet(logger)
        if is_main_process():
            screen.tell(logger, f'starting; everything is logged to {shown(log_file(self))}')
        return logger

    def load_or_resume(self) -> None:
        """Load or resume; print nothing on the terminal."""
        with screen.prints_logged(self.logger):
            super().load_or_resume()

    def build_train_loop(self, loop: Any) -> BaseLoop:
        """Build the loop; reading annotations prints nothing on the terminal."""
        with screen.prints_logged(self.logger):
            return super().build_train_loop(loop)

    def build_val_loop(self, loop: Any) -> BaseLoop:
        """See :meth:`build_train_loop`."""
        with screen.prints_logged(self.logger):
            return super().build_val_loop(loop)

    def build_test_loop(self, loop: Any) -> BaseLoop:
        """See :meth:`build_train_loop`."""
        with screen.prints_logged(self.logger):
            return super().build_test_loop(loop)

    @staticmethod
    def build_dataloader(dataloader: Any, *args: Any, **kwargs: Any) -> DataLoader:
        """Build the loader of a config, with checked annotation files."""
        return Runner.build_dataloader(with_checked_files(dataloader), *args, **kwargs)

    def build_param_scheduler(self, scheduler: Any) -> Any:
        """Build the schedules, without warm-ups of part of an epoch that come to a step or none.

        The rate would stay at the first value of a warm-up of one step, and zero are an error.
        """
        kept, short = without_short_warmups(scheduler, len(self.train_dataloader))
        for warmup in short:
            self.logger.warning(f'{warmup} left out, as it would last less than two iterations')
        return super().build_param_scheduler(kept)

    def build_evaluator(self, evaluator: Any) -> Evaluator:
        """Build the metrics of a config, with checked annotation files."""
        return super().build_evaluator(with_checked_files(evaluator))

    def register_hooks(self, *args: Any, **kwargs: Any) -> None:
        """Register the hooks of the config and those of every run."""
        super().register_hooks(*args, **kwargs)
        for hook in (hooks.ResumeHook, hooks.ScheduleCheckHook, hooks.HistoryHook):
            self.register_hook(hook())
        check = DATA_CHECKS.get(self.default_scope.scope_name)
        if check is not None and not any(isinstance(h, HOOKS.get(check)) for h in self.hooks):
            self.register_hook({'type': check})


class TestRunner(CheckedRunner):
    """Only test; leave the config of the training run in the same work dir as it is."""

    __test__ = False  # not for pytest

    def dump_config(self) -> None:
        """Write the config into the folder of the log."""
        self.cfg.dump(Path(self.log_dir) / Path(self.cfg.filename or 'config.py').name)


def set_work_dir(cfg: Config, config_path: str, work_dir: str | None) -> None:
    """Set where a run writes: the option, else the config's own, else ``work_dirs/<config name>``.

    Raises:
        NotADirectoryError: That is a file.
    """
    cfg.work_dir = work_dir or cfg.get('work_dir') or f'work_dirs/{Path(config_path).stem}'
    if Path(cfg.work_dir).is_file():
        raise NotADirectoryError(f'cannot write to {cfg.work_dir}, which is a file, not a folder')


def set_resume(cfg: Config, resume: str | None) -> None:
    """Resume from a checkpoint, or check that a new run does not overwrite an old one.

    Args:
        cfg: Config, with its ``work_dir`` set.
        resume: A checkpoint; ``'auto'`` for the newest complete one in the work dir, which
            :func:`build_runner` finds; or ``None``.

    Raises:
        FileNotFoundError: No such checkpoint.
        ValueError: The file is no checkpoint.
        FileExistsError: The work dir already holds the checkpoints of another run.
    """
    if resume is None and cfg.get('resume'):
        return
    if resume is None or (resume != 'auto' and not run_folder.lies_in_run(resume, cfg)):
        _check_no_run(cfg)
    if resume is None:
        return
    if resume != 'auto':
        check_file(resume, 'checkpoint to resume from')
        if not run_folder.is_finished(resume):
            raise ValueError(f'{resume} is not a checkpoint: no file that torch.save has finished')
    cfg.resume = True
    cfg.load_from = None if resume == 'auto' else resume


def _check_no_run(cfg: Config) -> None:
    if run_folder.holds_a_run(cfg):
        raise FileExistsError(
            f'{cfg.work_dir} holds the checkpoints of an earlier run; resume it with --resume, '
            'or choose another --work-dir'
        )


def set_amp(cfg: Config) -> None:
    """Switch mixed precision on, unless the config has it already.

    Raises:
        ValueError: There is no GPU, or the optimiser wrapper has no mixed precision.
    """
    if not torch.cuda.is_available():
        raise ValueError('--amp needs a GPU; on a CPU train in float32')
    wrapper = cfg.optim_wrapper.get('type', 'OptimWrapper')
    if wrapper not in {**AMP_WRAPPERS, **FLOAT32_WRAPPERS}:
        known = ', '.join([*AMP_WRAPPERS, *FLOAT32_WRAPPERS])
        raise ValueError(f'--amp works with optim_wrapper types {known}, not with {wrapper}')
    cfg.optim_wrapper.type = AMP_WRAPPERS.get(wrapper, wrapper)
    cfg.optim_wrapper.setdefault('dtype', 'bfloat16')


def set_auto_scale_lr(cfg: Config) -> None:
    """Have :func:`build_runner` scale the learning rate from the config's batch to the actual one.

    ``auto_scale_lr=dict(base_batch_size=1024, rule='sqrt')`` in a config says which batch its
    learning rate is for, and whether the rate follows the square root of the batch (POA, Sec. 4.1)
    or the batch itself (``'linear'``, the default, mmengine's only rule).

    Raises:
        ValueError: The config does not say which batch its learning rate is for, or names an
            unknown rule.
    """
    if 'base_batch_size' not in (cfg.get('auto_scale_lr') or {}):
        raise ValueError('--auto-scale-lr needs auto_scale_lr.base_batch_size in the config')
    rule = cfg.auto_scale_lr.get('rule', 'linear')
    if rule not in LR_RULES:
        raise ValueError(f'auto_scale_lr.rule must be one of {tuple(LR_RULES)}, got {rule!r}')
    cfg.auto_scale_lr.enable = True


def build_runner(
    cfg: Config, launcher: str = 'none', kind: type[CheckedRunner] = CheckedRunner
) -> Runner:
    """Build the runner of a config, started by ``torchrun`` (``'pytorch'``), slurm or alone.

    mmengine selects a GPU before it starts a process group. On a machine without a GPU this
    function starts the group with gloo, runs DDP without devices, replaces mixed precision by
    float32, and normalises batches per rank.

    Args:
        cfg: Config, with its ``work_dir`` set.
        launcher: ``'none'``, ``'pytorch'`` or ``'slurm'``.
        kind: Class of the runner.

    Raises:
        ValueError: The config has a setting that nothing reads; the learning rate is to be scaled,
            and the config does not say how; the run is to go on, and no checkpoint of its folder
            is complete.
        FileExistsError: The run is to go on from another folder, in one that holds a run already.
    """
    config_check.check_config(cfg)
    cfg.launcher = launcher
    if not torch.distributed.is_initialized():
        _world_size(launcher)  # fails with a clear message if variables are missing
    notes = [(logging.WARNING, note) for note in cfg.pop('run_notes', [])]
    notes += [(logging.WARNING, note) for note in _settle_resume(cfg)]
    if (cfg.get('auto_scale_lr') or {}).get('enable'):
        notes.append((logging.INFO, _scale_lr(cfg, _world_size(launcher))))
    no_gpu = not torch.cuda.is_available()
    if no_gpu and (cfg.get('optim_wrapper') or {}).get('type') in FLOAT32_WRAPPERS:
        notes.append((logging.WARNING, _fall_back_to_float32(cfg)))
    if launcher != 'none' and no_gpu:
        init_gloo()
        cfg.model_wrapper_cfg = {
            'type': 'CPUDistributedDataParallel',
            **cfg.get('model_wrapper_cfg', {}),
            'device_ids': None,
        }
        os.environ.setdefault('LOCAL_RANK', '0')
    runner = kind.from_cfg(cfg)
    for level, note in notes:
        screen.tell(runner.logger, note, level)
    return runner


def _settle_resume(cfg: Config) -> list[str]:
    """Find the checkpoint to resume from, unless it is named; return warnings about it.

    The path that mmengine itself would follow may lead to another run.
    """
    if not cfg.get('resume'):
        return []
    if cfg.get('load_from') is not None:
        if '://' not in cfg.load_from and not run_folder.lies_in_run(cfg.load_from, cfg):
            _check_no_run(cfg)
        later = [path.name for path in run_folder.later_than(cfg.load_from, cfg)]
        return [f'{", ".join(later)} in {cfg.work_dir} will be overwritten'] if later else []
    newest, notes = run_folder.newest_complete(cfg)
    if newest is None:
        cfg.resume = False
        return [f'{cfg.work_dir} holds no checkpoint to resume from: a new run starts']
    cfg.load_from = str(newest)
    return notes


def _world_size(launcher: str) -> int:
    if launcher == 'none':
        return 1
    variable = WORLD_SIZE_VARIABLES[launcher]
    if variable not in os.environ:
        raise ValueError(
            f'--launcher {launcher} needs the environment variable {variable}, which '
            f'{STARTERS[launcher]} sets: start the run with that, or leave --launcher out'
        )
    return int(os.environ[variable])


def _scale_lr(cfg: Config, world_size: int) -> str:
    """Scale the learning rate to the batch of one step; return a note on it."""
    set_auto_scale_lr(cfg)
    scaling, optimizer = cfg.auto_scale_lr, cfg.optim_wrapper.optimizer
    rule = scaling.get('rule', 'linear')
    per_rank, base = cfg.train_dataloader.batch_size, scaling.base_batch_size
    accumulated = cfg.optim_wrapper.get('accumulative_counts', 1)
    batch = per_rank * world_size * accumulated
    factor = LR_RULES[rule](batch / base)
    before, optimizer.lr = optimizer.lr, optimizer.lr * factor
    _keep_lr_floors(cfg, factor)
    # From here on the config is one for this batch: mmengine, or a second call, changes nothing.
    cfg.auto_scale_lr.update(base_batch_size=batch, enable=False)
    return (
        f'learning rate {before:.6g} for a batch of {base} scaled to {optimizer.lr:.6g} ({rule}) '
        f'for {batch} = {per_rank} × {world_size} ranks × {accumulated} accumulated'
    )


def _keep_lr_floors(cfg: Config, factor: float) -> None:
    """Keep the final learning rate of cosines, which does not depend on the batch."""
    schedulers: Any = cfg.get('param_scheduler') or []
    if isinstance(schedulers, dict):
        schedulers = [schedulers]
    for scheduler in schedulers:
        if scheduler.type.endswith('LR') and 'eta_min_ratio' in scheduler:
            scheduler.eta_min_ratio = min(scheduler.eta_min_ratio / factor, 1.0)


def _fall_back_to_float32(cfg: Config) -> str:
    """Take the mixed precision out of a config; return a note on it."""
    wrapper = cfg.optim_wrapper
    before, wrapper.type = wrapper.type, FLOAT32_WRAPPERS[wrapper.type]
    for option in ('dtype', 'loss_scale', 'use_fsdp'):
        wrapper.pop(option, None)
    return f'no GPU: {wrapper.type} in float32 in place of {before}'
