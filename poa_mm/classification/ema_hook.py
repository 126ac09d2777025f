"""Average the weights of a classifier over the steps of its optimiser."""

from typing import Any

from mmengine.runner import Runner
from mmpretrain.engine.hooks import EMAHook

from poa_mm.registry import HOOKS


@HOOKS.register_module()
class StepEMAHook(EMAHook):
    """mmpretrain's ``EMAHook``, which averages once a step of the optimiser.

    mmpretrain's averages at every iteration: under ``accumulative_counts`` the same weights several
    times, with which the average forgets faster. It also needs a checkpoint to be one of a runner;
    a bare state dict in ``load_from`` does here as well.

    The average is what validation and ``tools/test.py`` measure, and the ``state_dict`` of each
    checkpoint, so whatever reads that file gets it; the weights of the last step lie beside it,
    for the run to go on with.

    Args:
        momentum: Share of the weights of a step in the average: 0.3 for a decay of 0.7.
        **kwargs: The other arguments of mmpretrain's hook.
    """

    def __init__(self, momentum: float, **kwargs: Any) -> None:
        super().__init__(momentum=momentum, **kwargs)

    def after_train_iter(self, runner: Runner, *args: Any, **kwargs: Any) -> None:
        """Update the average, if the optimiser has made a step."""
        if runner.optim_wrapper.should_update():
            super().after_train_iter(runner, *args, **kwargs)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Take over the average of a checkpoint, or start it from the weights."""
        if 'state_dict' in checkpoint:
            super().after_load_checkpoint(runner, checkpoint)
        # Else the first update copies the weights.
