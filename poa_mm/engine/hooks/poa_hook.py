"""What POA needs around an optimiser step."""

from typing import Any

from mmengine import dist
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from poa_mm.engine.schedules import cosine, linear
from poa_mm.models.selfsup import POA
from poa_mm.registry import HOOKS


def poa_of(runner: Runner, hook: Hook) -> POA:
    """The POA model that a runner trains.

    Raises:
        TypeError: It trains something else.
    """
    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    if not isinstance(model, POA):
        raise TypeError(f'{type(hook).__name__} works on POA, not on {type(model).__name__}')
    return model


@HOOKS.register_module()
class POAHook(Hook):
    """Schedules the teacher's temperature and updates the teacher (Sec. 4.1, App. C.7).

    The teacher moves after the optimiser step, and under gradient accumulation once for each
    effective batch. All schedules are functions of the runner's iteration, so a resumed run goes on
    exactly where it stopped.

    Args:
        momentum: Momentum of the teacher at the first and at the last iteration (cosine).
        teacher_temp: τ_t at the first iteration and after the warm-up (linear).
        temp_warmup_epochs: Length of that warm-up, in passes over the training data.
    """

    def __init__(
        self,
        momentum: tuple[float, float] = (0.992, 0.9999),
        teacher_temp: tuple[float, float] = (0.04, 0.07),
        temp_warmup_epochs: float = 30,
    ) -> None:
        self.momentum = momentum
        self.teacher_temp = teacher_temp
        self.temp_warmup_epochs = temp_warmup_epochs

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Tell the model which step it is, and the temperature of it."""
        model = poa_of(runner, self)
        loader = runner.train_dataloader
        # Not len(loader): an InfiniteSampler counts the images of all ranks.
        epoch = len(loader.dataset) // (loader.batch_size * dist.get_world_size())
        warmup = round(self.temp_warmup_epochs * max(epoch, 1))
        model.step = runner.iter
        model.teacher_temp = linear(*self.teacher_temp, step=runner.iter, num_steps=warmup)

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Update the teacher if the optimiser has stepped."""
        if not runner.optim_wrapper.should_update():
            return
        model = poa_of(runner, self)
        momentum = cosine(*self.momentum, step=runner.iter, num_steps=runner.max_iters)
        model.update_teacher(momentum)
        runner.message_hub.update_scalar('train/momentum', momentum)
        runner.message_hub.update_scalar('train/teacher_temp', model.teacher_temp)
