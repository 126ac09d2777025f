"""Skip optimiser steps with NaN gradients, clip gradients per module, freeze groups."""

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from mmengine import dist
from mmengine.optim import AmpOptimWrapper, OptimWrapper
from mmengine.registry import OPTIM_WRAPPERS
from torch import Tensor, nn

LAST_LAYER = 'last_layer'
GUARD_STATE = 'guard'


class StepGuard(OptimWrapper):
    """Share code of :class:`GuardedOptimWrapper` and :class:`GuardedAmpOptimWrapper`.

    Attributes:
        frozen: Labels of the groups that the next steps leave unchanged, see :meth:`freeze`.
        skipped: Number of steps skipped so far because their gradient was not finite.
        skipped_in_a_row: Number of these since the last step that was made.
        last_step_skipped: Whether the last step was skipped, also by an overflow of the scaled
            loss, which the two numbers do not count.
    """

    def __init__(self, *args: Any, clip_grad: dict | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._max_norm = _max_norm(clip_grad)
        if not all({'module', LAST_LAYER} <= set(group) for group in self.optimizer.param_groups):
            raise ValueError(
                f"{type(self).__name__} needs the labelled groups of constructor='"
                "LayerDecayConstructor'; there are parameter groups without labels"
            )
        self.frozen: frozenset[str] = frozenset()
        self.skipped = 0
        self.skipped_in_a_row = 0
        self.last_step_skipped = False

    def freeze(self, labels: Iterable[str]) -> None:
        """Freeze the groups of these labels, and no others, until the next call.

        They step with a learning rate and a weight decay of 0, so the optimiser's averages are
        updated, schedulers see the stored values, and DDP gets the gradients it expects.

        Args:
            labels: Names of top-level modules of the model, or ``'last_layer'``.

        Raises:
            ValueError: No group has such a label.
        """
        labels = frozenset(labels)
        groups = self.optimizer.param_groups
        valid = {group['module'] for group in groups}
        valid |= {LAST_LAYER for group in groups if group[LAST_LAYER]}
        if labels - valid:
            raise ValueError(
                f'cannot freeze {sorted(labels - valid)}: the groups are {sorted(valid)}'
            )
        self.frozen = labels

    def step(self, **kwargs: Any) -> None:
        """Clip each module's gradient; step, or skip the step if the gradient is not finite.

        DDP has averaged the gradients, so all ranks decide alike without communication.
        """
        self._unscale()
        norms = self._clip()
        total = math.sqrt(sum(norm**2 for norm in norms.values()))
        self.last_step_skipped = not math.isfinite(total)
        if not self.last_step_skipped:
            self.skipped_in_a_row = 0
            self._log({'grad_norm': total, **{f'grad_norm_{m}': n for m, n in norms.items()}})
            with self._frozen_at_zero():
                self.optimizer.step(**kwargs)
        overflow = self._update_scale()
        if self.last_step_skipped and not overflow:
            self.skipped += 1
            self.skipped_in_a_row += 1

    def state_dict(self) -> dict:
        """Return the state of the optimiser, and how many steps were skipped."""
        counts = {'skipped': self.skipped, 'skipped_in_a_row': self.skipped_in_a_row}
        return {**super().state_dict(), GUARD_STATE: counts}

    def load_state_dict(self, state_dict: dict) -> None:
        """Load the state of this wrapper, or of one that skips no steps."""
        counts = state_dict.pop(GUARD_STATE, {})
        self.skipped = counts.get('skipped', 0)
        self.skipped_in_a_row = counts.get('skipped_in_a_row', 0)
        super().load_state_dict(state_dict)

    def _unscale(self) -> None:
        """Undo the scaling of the loss in the gradients."""

    def _update_scale(self) -> bool:
        """Update the loss scale; return whether a skipped step was an overflow of the scale."""
        return False

    def _clip(self) -> dict[str, float]:
        """Clip gradients in place; return the L2 norm of each module before that."""
        modules: dict[str, list[nn.Parameter]] = {}
        for group in self.optimizer.param_groups:
            with_gradient = [p for p in group['params'] if p.grad is not None]
            if with_gradient:
                modules.setdefault(group['module'], []).extend(with_gradient)
        if not modules:
            return {}
        norms = [nn.utils.clip_grad_norm_(p, self._max_norm) for p in modules.values()]
        return dict(zip(modules, torch.stack(norms).tolist(), strict=True))

    @contextmanager
    def _frozen_at_zero(self) -> Iterator[None]:
        groups = [group for group in self.optimizer.param_groups if self._is_frozen(group)]
        stored = [(group['lr'], group['weight_decay']) for group in groups]
        for group in groups:
            group['lr'] = group['weight_decay'] = 0.0
        try:
            yield
        finally:
            for group, (lr, weight_decay) in zip(groups, stored, strict=True):
                group['lr'], group['weight_decay'] = lr, weight_decay

    def _is_frozen(self, group: dict[str, Any]) -> bool:
        return group['module'] in self.frozen or (group[LAST_LAYER] and LAST_LAYER in self.frozen)

    def _log(self, values: dict[str, float]) -> None:
        for name, value in values.items():
            self.message_hub.update_scalar(f'train/{name}', value)


@OPTIM_WRAPPERS.register_module()
class GuardedOptimWrapper(StepGuard):
    """Step in float32: clip per module, skip steps with NaN gradients, freeze groups.

    - ``clip_grad=dict(max_norm=1.5)`` bounds the L2 norm of the gradient of each top-level module,
      backbone and heads apart (App. C.7, as the authors do it). Logs ``grad_norm`` of the whole
      gradient and ``grad_norm_<module>``, before clipping.
    - A step with a NaN or an infinity in the gradient is skipped on all ranks and counted.
    - :meth:`freeze` keeps groups unchanged.

    Args:
        optimizer: Optimiser with the labelled groups of
            :class:`~poa_mm.engine.LayerDecayConstructor`.
        accumulative_counts: Number of batches per step.
        clip_grad: ``dict(max_norm=...)``, or ``None`` for no clipping.

    Raises:
        ValueError: Groups without labels, or another way of clipping.
    """


@OPTIM_WRAPPERS.register_module()
class GuardedAmpOptimWrapper(StepGuard, AmpOptimWrapper):
    """:class:`GuardedOptimWrapper` in mixed precision.

    The loss is scaled in float16 only: bfloat16 has the range of float32. An overflow lowers the
    scale. Its skipped step is not counted as long as the losses of all ranks are finite and the
    scale was above 1.

    Args:
        optimizer: See :class:`GuardedOptimWrapper`.
        dtype: ``'bfloat16'`` or ``'float16'``; ``None`` is the device's default.
        loss_scale: ``'dynamic'``, or see ``AmpOptimWrapper``.
        accumulative_counts: See :class:`GuardedOptimWrapper`.
        clip_grad: See :class:`GuardedOptimWrapper`.

    Raises:
        ValueError: As :class:`GuardedOptimWrapper`, or ``use_fsdp``: a rank would check its own
            shard of the gradients only.
    """

    def __init__(self, *args: Any, use_fsdp: bool = False, **kwargs: Any) -> None:
        if use_fsdp:
            raise ValueError('GuardedAmpOptimWrapper works with DDP, not with use_fsdp=True')
        super().__init__(*args, **kwargs)
        if self.cast_dtype not in (None, torch.float16):
            self.loss_scaler = torch.amp.GradScaler(enabled=False)
        self._losses: list[Tensor] = []

    def backward(self, loss: Tensor, **kwargs: Any) -> None:
        """Back-propagate the scaled loss."""
        if self.loss_scaler.is_enabled():
            self._losses.append(loss.detach())
        super().backward(loss, **kwargs)

    def load_state_dict(self, state_dict: dict) -> None:
        """Load the state of this wrapper, of another precision, or of one that skips no steps."""
        if not state_dict.get('loss_scaler'):
            state_dict.pop('loss_scaler', None)  # empty after a run without loss scaling
        super().load_state_dict(state_dict)

    def _unscale(self) -> None:
        self.loss_scaler.unscale_(self.optimizer)

    def _update_scale(self) -> bool:
        losses, self._losses = self._losses, []
        if not self.loss_scaler.is_enabled():
            return False
        if not self.last_step_skipped:
            self.loss_scaler.update(self._scale_update_param)
            return False
        before = self.loss_scaler.get_scale()
        self.loss_scaler.update(self._scale_update_param)
        # All ranks have the same scale, so all or none of them meet in the reduction.
        lowered = self.loss_scaler.get_scale() < before
        return lowered and before > 1 and _finite_on_all_ranks(losses)


def _finite_on_all_ranks(losses: list[Tensor]) -> bool:
    finite = torch.stack(losses).isfinite().all().float()
    dist.all_reduce(finite, 'min')
    return bool(finite)


def _max_norm(clip_grad: dict | None) -> float:
    if clip_grad is None:
        return math.inf
    if set(clip_grad) != {'max_norm'} or not clip_grad['max_norm'] > 0:
        raise ValueError(f'clip_grad must be dict(max_norm=...) above 0, got {dict(clip_grad)}')
    return float(clip_grad['max_norm'])
