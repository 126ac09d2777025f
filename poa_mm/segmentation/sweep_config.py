"""Train a linear segmentor at many learning rates in one run (Sec. 4.3, linear head)."""

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mmengine.config import Config, ConfigDict
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import nn

from poa_mm.engine.inner_model import inner_model
from poa_mm.segmentation.head_iou import HeadIoUMetric

METRICS = ('mIoU', 'aAcc', 'mAcc')
REQUIRED = (
    *('model', 'optim_wrapper', 'default_hooks'),
    *('train_dataloader', 'train_cfg', 'val_dataloader', 'val_cfg', 'val_evaluator'),
)
MMSEG_DROPOUT = 0.1  # of a head that does not say


@dataclass(frozen=True)
class SweepRow:
    """Result of one learning rate, in percent of the validation set.

    Args:
        lr: Learning rate.
        metrics: mIoU, aAcc and mAcc by name.
        best: Whether no other rate has a higher mIoU.
    """

    lr: float
    metrics: Mapping[str, float]
    best: bool

    def cells(self) -> dict[str, object]:
        """Return the cells of a CSV file by column."""
        values = {name: f'{self.metrics[name]:.2f}' for name in METRICS}
        return {'lr': _name(self.lr), **values, 'best': int(self.best)}


def sweep_config(cfg: Config, lrs: Sequence[float]) -> Config:
    """Return the config of one run that trains a head for each learning rate.

    Each head is trained as the given config would train it. Features are computed once. Heads start
    from the same weights, see the same crops, and have a loss and an optimiser state each, so they
    do not affect one another.

    Args:
        cfg: A linear config: a ``FrozenEncoderDecoder`` whose head alone is trained.
        lrs: Learning rates, in place of the config's.

    Returns:
        A changed copy.

    Raises:
        ValueError: Rates are not positive or repeated, or heads would affect one another; the
            message names the setting.
    """
    names = {_name(lr) for lr in lrs if lr > 0 and math.isfinite(lr)}
    if not lrs or len(names) < len(lrs):
        raise ValueError(f'learning rates must be positive and all different, got {list(lrs)}')
    _check_linear(cfg)
    cfg = copy.deepcopy(cfg)
    cfg.model.type = 'SweepEncoderDecoder'
    cfg.model.decode_head = {
        'type': 'SweepHead',
        'head': cfg.model.decode_head,
        'number': len(lrs),
    }
    # Multiples of 1 are the rates themselves, to the last bit.
    cfg.optim_wrapper.optimizer.lr = 1.0
    cfg.optim_wrapper.paramwise_cfg = {
        'custom_keys': {_head(index): {'lr_mult': lr} for index, lr in enumerate(lrs)}
    }
    metric = {**cfg.val_evaluator, 'type': HeadIoUMetric.__name__}
    if cfg.optim_wrapper.get('type') == 'AmpOptimWrapper':
        # bfloat16 has the range of float32. A scale would let one diverging head stop all others.
        cfg.optim_wrapper.loss_scale = {'enabled': False}
    cfg.val_evaluator = [
        {**metric, 'head': index, 'prefix': _name(lr)} for index, lr in enumerate(lrs)
    ]
    cfg.test_dataloader = cfg.test_evaluator = cfg.test_cfg = None
    cfg.default_hooks.pop('visualization', None)  # there are as many predictions as heads
    cfg.default_hooks.checkpoint.pop('save_best', None)
    return cfg


def batch_note(cfg: Config, world_size: int) -> str | None:
    """Return a remark if the batch is not the one that the config is made for.

    Args:
        cfg: A linear config, with ``auto_scale_lr.base_batch_size`` if the config states one.
        world_size: Number of processes.
    """
    expected = (cfg.get('auto_scale_lr') or {}).get('base_batch_size')
    each = cfg.train_dataloader.get('batch_size', 1)
    accumulated = cfg.optim_wrapper.get('accumulative_counts', 1)
    actual = each * world_size * accumulated
    if expected in (None, actual):
        return None
    return (
        f'a step sees {actual} images ({each} × {world_size} processes × {accumulated} '
        f'accumulated), the config is made for {expected}: start as many processes with torchrun, '
        'or change train_dataloader.batch_size, to find the rates for that batch'
    )


class SweepResults(Hook):
    """Keeps the results of the last validation of a sweep.

    Args:
        lrs: The learning rates of the sweep.

    Raises:
        ValueError: Before training, if a checkpoint to resume from has other learning rates.
    """

    def __init__(self, lrs: Sequence[float]) -> None:
        self.lrs = list(lrs)
        self.rows: list[SweepRow] = []

    def after_load_checkpoint(self, runner: Runner, checkpoint: Mapping) -> None:
        """Check that a checkpoint to resume from has these rates, before its heads are loaded."""
        if not runner.cfg.get('resume') or 'optimizer' not in checkpoint:
            return
        groups = checkpoint['optimizer']['param_groups']
        # Without schedulers, groups have no initial rate.
        resumed = list(dict.fromkeys(g.get('initial_lr', g['lr']) for g in groups))
        if resumed != self.lrs:
            raise ValueError(
                f'the checkpoint to resume from sweeps over {resumed}, not over {self.lrs}'
            )

    def after_val_epoch(self, runner: Runner, metrics: Mapping[str, float] | None = None) -> None:
        """Collect the metrics of each learning rate."""
        assert metrics is not None
        by_lr = {
            lr: {name: float(metrics[f'{_name(lr)}/{name}']) for name in METRICS} for lr in self.lrs
        }
        best = max(self.lrs, key=lambda lr: by_lr[lr]['mIoU'])
        self.rows = [SweepRow(lr, by_lr[lr], lr == best) for lr in self.lrs]


def head_checkpoint(model: nn.Module, index: int, meta: Mapping[str, object]) -> dict[str, dict]:
    """Return backbone and one head of a sweep, under their names in the linear config.

    Args:
        model: A ``SweepEncoderDecoder``, or a wrapper of it.
        index: Index of the head.
        meta: Plain data to save with it, such as the names of the classes.
    """
    segmentor: nn.Module = inner_model(model)
    prefix = _head(index)
    state = {}
    for name, value in segmentor.state_dict().items():
        if name.startswith(prefix):
            state[f'decode_head.{name.removeprefix(prefix)}'] = value.cpu()
        elif not name.startswith('decode_head.'):
            state[name] = value.cpu()
    return {'state_dict': state, 'meta': dict(meta)}


def _name(lr: float) -> str:
    return f'{lr:g}'


def _head(index: int) -> str:
    """Return the prefix of the names of a head's parameters."""
    return f'decode_head.heads.{index}.'


def _check_linear(cfg: Config) -> None:
    """Check for a linear config without settings that its heads would share."""
    missing = [key for key in REQUIRED if cfg.get(key) is None]
    if missing:
        raise ValueError(f'a sweep needs a linear config; this one has no {", ".join(missing)}')
    model, wrapper = cfg.model, cfg.optim_wrapper
    if model.type != 'FrozenEncoderDecoder':
        raise ValueError(f'a sweep needs a FrozenEncoderDecoder, the config has {model.type}')
    shared = {
        'model.neck': model.get('neck'),
        'model.auxiliary_head': model.get('auxiliary_head'),
        'optim_wrapper.clip_grad': wrapper.get('clip_grad'),
        'optim_wrapper.paramwise_cfg': wrapper.get('paramwise_cfg'),
    }
    given = [name for name, value in shared.items() if value]
    if given:
        raise ValueError(f'a sweep trains heads alone, each by itself: take out {", ".join(given)}')
    _check_dropout(model.decode_head)
    _check_wrapper(wrapper)
    if (cfg.get('auto_scale_lr') or {}).get('enable'):
        raise ValueError(
            'a sweep takes its learning rates as they are given: take out auto_scale_lr.enable'
        )
    averages = [hook.type for hook in cfg.get('custom_hooks') or [] if 'EMA' in hook.type]
    if averages:
        raise ValueError(
            f'a sweep validates and saves the heads themselves, not their averages: take '
            f'{", ".join(averages)} out of custom_hooks'
        )
    evaluator = cfg.get('val_evaluator')
    if not isinstance(evaluator, ConfigDict) or evaluator.type != 'IoUMetric':
        raise ValueError(f'a sweep needs an IoUMetric as val_evaluator, the config has {evaluator}')


def _check_dropout(head: ConfigDict) -> None:
    """Check for a head without dropout: heads would share one stream of random numbers."""
    ratio = head.get('dropout_ratio', MMSEG_DROPOUT)
    if ratio:
        raise ValueError(
            f'a sweep needs model.decode_head.dropout_ratio=0, got {ratio}: heads would drop '
            'other channels than in runs of their own'
        )


def _check_wrapper(wrapper: ConfigDict) -> None:
    """Check for a wrapper that never skips a step of all heads because of one."""
    kind, dtype = wrapper.get('type', 'OptimWrapper'), wrapper.get('dtype')
    if kind not in ('OptimWrapper', 'AmpOptimWrapper'):
        raise ValueError(
            f'a sweep needs an OptimWrapper or AmpOptimWrapper, the config has {kind}, which may '
            'skip the steps of all heads because of one'
        )
    if kind == 'AmpOptimWrapper' and dtype != 'bfloat16':
        raise ValueError(
            "a sweep in mixed precision needs optim_wrapper.dtype='bfloat16', the config has "
            f'{dtype}: with float16 all heads would share one loss scale'
        )
    if wrapper.get('constructor') != 'TrainableConstructor':
        raise ValueError(
            'a sweep needs optim_wrapper.constructor=TrainableConstructor, the config has '
            f'{wrapper.get("constructor")}'
        )
