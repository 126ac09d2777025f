"""Update the teacher after each optimiser step, and follow POA's schedules.

How the teacher is updated: after each optimiser step, every weight of its backbone and heads
becomes ``m · teacher + (1 − m) · student``. The momentum m rises along half a cosine over the whole
run, from 0.992 to 0.9999 by default. Under gradient accumulation the update comes once per
effective batch. A step that was skipped because its gradient was not finite is followed by none.
"""

from collections.abc import Callable, Iterator
from typing import Any

from mmengine import dist
from mmengine.hooks import Hook
from mmengine.runner import Runner

from poa_mm.engine.hooks.view_check import check_views
from poa_mm.engine.inner_model import inner_model
from poa_mm.engine.optim_wrapper import LAST_LAYER, StepGuard
from poa_mm.engine.schedules import cosine, linear
from poa_mm.models.selfsup import Pretraining, SelfDistillation
from poa_mm.registry import HOOKS


def poa_of(runner: Runner, hook: Hook) -> SelfDistillation:
    """Return the model that a runner trains: POA or one of its variants.

    Raises:
        TypeError: It trains something else.
    """
    model = inner_model(runner.model)
    if not isinstance(model, SelfDistillation):
        raise TypeError(f'{type(hook).__name__} works on POA, not on {type(model).__name__}')
    return model


def pretraining_of(runner: Runner, hook: Hook) -> Pretraining:
    """Return the model that a runner trains: any algorithm of this package.

    Raises:
        TypeError: It trains something else.
    """
    model = inner_model(runner.model)
    if not isinstance(model, Pretraining):
        raise TypeError(
            f'{type(hook).__name__} works on POA and SEED, not on {type(model).__name__}'
        )
    return model


def _check_pair(name: str, values: Any, range_: str, fits: Callable[[float], bool]) -> None:
    fine = isinstance(values, list | tuple) and len(values) == 2
    if not fine or not all(isinstance(value, int | float) and fits(value) for value in values):
        raise ValueError(
            f'{name} of POAHook must be two numbers {range_}, at the first and last iteration, '
            f'got {values!r}'
        )


@HOOKS.register_module()
class POAHook(Hook):
    """Update the teacher after each optimiser step; schedule m, τ_t and what is frozen.

    See Sec. 4.1, App. C.3 and C.7. The update is that of
    :meth:`~poa_mm.models.SelfDistillation.update_teacher`, which also updates the running means of
    ``centering``. All schedules depend on the runner's iteration only, so a resumed run continues
    exactly where it stopped. Logs ``momentum``, ``teacher_temp`` and the largest ``weight_decay``.

    Args:
        momentum: m of the teacher at the first and at the last iteration, along half a cosine.
        teacher_temp: τ_t at the first iteration and after the warm-up, along a line.
        temp_warmup_epochs: Length of that warm-up, in epochs.
        ibot_start_epoch: Epoch from which masked patches are predicted (``model.ibot_active``).
        freeze_last_layer_epochs: Epochs for which the prototypes are frozen. Above 0 it needs
            :class:`~poa_mm.engine.GuardedOptimWrapper` or ``GuardedAmpOptimWrapper``.
        head_warmup_epochs: Epochs for which the backbone is frozen, to train new heads on a
            pre-trained backbone first. Above 0 it needs the same wrappers.
        cosine_fraction: Share of the momentum's cosine that the run covers: 1 in the paper. The
            authors' code stretches the cosine and stops at 0.78 (ViT) and 0.9 (Swin) of it.
        epoch_length: Iterations of an epoch (800 for the paper's ViT); ``None`` is one pass over
            the training data.

    Raises:
        ValueError: Momenta outside [0, 1], temperatures that are not positive, negative epochs,
            ``cosine_fraction`` outside (0, 1], ``epoch_length`` below 1; before training, something
            to freeze with another optimiser wrapper, or crops that the network cannot take.
    """

    def __init__(
        self,
        momentum: tuple[float, float] = (0.992, 0.9999),
        teacher_temp: tuple[float, float] = (0.04, 0.07),
        temp_warmup_epochs: float = 30,
        ibot_start_epoch: float = 30,
        freeze_last_layer_epochs: float = 1,
        head_warmup_epochs: float = 0,
        cosine_fraction: float = 1.0,
        epoch_length: int | None = None,
    ) -> None:
        times = {
            'temp_warmup_epochs': temp_warmup_epochs,
            'ibot_start_epoch': ibot_start_epoch,
            'freeze_last_layer_epochs': freeze_last_layer_epochs,
            'head_warmup_epochs': head_warmup_epochs,
        }
        for name, epochs in times.items():
            if epochs < 0:
                raise ValueError(f'{name} must not be negative, got {epochs}')
        _check_pair('momentum', momentum, 'within [0, 1]', lambda value: 0 <= value <= 1)
        _check_pair('teacher_temp', teacher_temp, 'above 0', lambda value: value > 0)
        if not 0 < cosine_fraction <= 1:
            raise ValueError(f'cosine_fraction must be within (0, 1], got {cosine_fraction}')
        if epoch_length is not None and epoch_length < 1:
            raise ValueError(f'epoch_length must be at least 1, got {epoch_length}')
        self.momentum = momentum
        self.teacher_temp = teacher_temp
        self.temp_warmup_epochs = temp_warmup_epochs
        self.ibot_start_epoch = ibot_start_epoch
        self.frozen_epochs = {LAST_LAYER: freeze_last_layer_epochs, 'backbone': head_warmup_epochs}
        self.cosine_fraction = cosine_fraction
        self.epoch_length = epoch_length

    def before_train(self, runner: Runner) -> None:
        """Check the crops, the optimiser wrapper and the length of the run."""
        check_views(poa_of(runner, self), runner.train_dataloader)
        wrapper = runner.optim_wrapper
        if any(self.frozen_epochs.values()) and not isinstance(wrapper, StepGuard):
            raise ValueError(
                'freeze_last_layer_epochs and head_warmup_epochs of POAHook need '
                f'GuardedOptimWrapper or GuardedAmpOptimWrapper, got {type(wrapper).__name__}; '
                'set both to 0 to train without'
            )
        for warning in self._too_late(runner):
            runner.logger.warning(warning)

    def _too_late(self, runner: Runner) -> Iterator[str]:
        """Warn of what a run of this length is too short for."""
        epoch = self._epoch_length(runner)
        times = {
            'the teacher temperature does not reach its final value': self.temp_warmup_epochs,
            'the prototypes are never trained': self.frozen_epochs[LAST_LAYER],
            'the backbone is never trained': self.frozen_epochs['backbone'],
        }
        if getattr(poa_of(runner, self), 'ibot_weight', 0):
            times['masked patches are never predicted'] = self.ibot_start_epoch
        for consequence, epochs in times.items():
            if epochs * epoch >= max(runner.max_iters, 1):
                yield (
                    f'{consequence}: POAHook has {epochs:g} epochs of {epoch} iterations before '
                    f'that, the run has {runner.max_iters} iterations'
                )

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Set the step and its schedules in the model, and freeze groups of the optimiser."""
        model = poa_of(runner, self)
        epoch = self._epoch_length(runner)
        warmup = round(self.temp_warmup_epochs * epoch)
        model.step = runner.iter
        model.teacher_temp = linear(*self.teacher_temp, step=runner.iter, num_steps=warmup)
        if hasattr(model, 'ibot_active'):
            model.ibot_active = runner.iter >= self.ibot_start_epoch * epoch
        if any(self.frozen_epochs.values()):
            runner.optim_wrapper.freeze(
                label
                for label, epochs in self.frozen_epochs.items()
                if runner.iter < epochs * epoch
            )

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Update the teacher, unless no optimiser step was made or it was skipped."""
        wrapper = runner.optim_wrapper
        if not wrapper.should_update():
            return
        model = poa_of(runner, self)
        whole = int(runner.max_iters / self.cosine_fraction)
        momentum = cosine(*self.momentum, step=runner.iter, num_steps=whole)
        if isinstance(wrapper, StepGuard) and wrapper.last_step_skipped:
            model.skip_update()
        else:
            model.update_teacher(momentum)
        weight_decay = max(group['weight_decay'] for group in wrapper.optimizer.param_groups)
        runner.message_hub.update_scalar('train/momentum', momentum)
        runner.message_hub.update_scalar('train/teacher_temp', model.teacher_temp)
        runner.message_hub.update_scalar('train/weight_decay', weight_decay)

    def _epoch_length(self, runner: Runner) -> int:
        if self.epoch_length is not None:
            return self.epoch_length
        loader = runner.train_dataloader
        # Not len(loader): an InfiniteSampler counts the images of all ranks.
        return max(len(loader.dataset) // (loader.batch_size * dist.get_world_size()), 1)
