"""From a config and command-line options to a runner, on GPUs and on CPUs."""

import os
import zipfile
from pathlib import Path

import torch
import torch.distributed as torch_dist
from mmengine.config import Config
from mmengine.runner import Runner


def set_work_dir(cfg: Config, config_path: str, work_dir: str | None) -> None:
    """Where a run writes: the option, else the config's own, else ``work_dirs/<config name>``."""
    cfg.work_dir = work_dir or cfg.get('work_dir') or f'work_dirs/{Path(config_path).stem}'


def set_resume(cfg: Config, resume: str | None) -> None:
    """Go on from a checkpoint, or make sure that a new run does not write over an old one.

    Args:
        cfg: Config, with its ``work_dir`` set.
        resume: A checkpoint, ``'auto'`` for the latest one in the work dir, or ``None``.

    Raises:
        FileNotFoundError: No such checkpoint.
        ValueError: The file is no checkpoint.
        FileExistsError: The work dir already holds the checkpoints of another run.
    """
    if resume is None and cfg.get('resume'):
        return
    latest = Path(cfg.work_dir) / 'last_checkpoint'
    elsewhere = resume not in (None, 'auto') and not _lies_in(str(resume), cfg.work_dir)
    if latest.exists() and (resume is None or elsewhere):
        raise FileExistsError(
            f'{cfg.work_dir} holds the checkpoints of an earlier run; go on with --resume, '
            'or choose another --work-dir'
        )
    if resume is None:
        return
    if resume != 'auto':
        if not Path(resume).is_file():
            raise FileNotFoundError(f'no checkpoint to resume from at {resume}')
        if not zipfile.is_zipfile(resume):
            raise ValueError(f'{resume} is not a checkpoint: no file that torch.save has finished')
    cfg.resume = True
    cfg.load_from = None if resume == 'auto' else resume


def _lies_in(path: str, folder: str) -> bool:
    return Path(path).resolve().parent == Path(folder).resolve()


def set_amp(cfg: Config) -> None:
    """Mixed precision, unless the config asks for it already.

    Raises:
        ValueError: There is no GPU.
    """
    if not torch.cuda.is_available():
        raise ValueError('--amp needs a GPU; on a CPU train in float32')
    cfg.optim_wrapper.type = 'AmpOptimWrapper'
    cfg.optim_wrapper.setdefault('dtype', 'bfloat16')


def set_auto_scale_lr(cfg: Config) -> None:
    """Scale the learning rate from the config's batch to the actual one.

    Raises:
        ValueError: The config does not say which batch its learning rate is for.
    """
    if 'base_batch_size' not in cfg.get('auto_scale_lr', {}):
        raise ValueError('--auto-scale-lr needs auto_scale_lr.base_batch_size in the config')
    cfg.auto_scale_lr.enable = True


def build_runner(cfg: Config, launcher: str = 'none') -> Runner:
    """Build the runner of a config, started by ``torchrun`` (``'pytorch'``), slurm or alone.

    mmengine picks a GPU before it starts a process group. On a machine without one this starts the
    group itself, with gloo, and tells DDP that there is no device to pin.
    """
    cfg.launcher = launcher
    if launcher != 'none' and not torch.cuda.is_available():
        torch_dist.init_process_group('gloo')
        cfg.model_wrapper_cfg = {
            'type': 'MMDistributedDataParallel',
            **cfg.get('model_wrapper_cfg', {}),
            'device_ids': None,
        }
        os.environ.setdefault('LOCAL_RANK', '0')
    return Runner.from_cfg(cfg)
