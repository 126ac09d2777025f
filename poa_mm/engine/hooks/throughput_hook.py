"""Log the speed of training."""

from typing import Any

from mmengine import dist
from mmengine.hooks import Hook
from mmengine.runner import Runner

from poa_mm.registry import HOOKS


@HOOKS.register_module()
class ThroughputHook(Hook):
    """Log images per second, over all ranks, and the share of the time spent waiting for data."""

    priority = 'NORMAL'  # after IterTimerHook, which stands before it, and before LoggerHook

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Derive both from the times of ``IterTimerHook``."""
        hub = runner.message_hub
        seconds = hub.get_scalar('train/time').current()
        images = runner.train_dataloader.batch_size * dist.get_world_size()
        hub.update_scalar('train/images_per_s', images / seconds)
        hub.update_scalar('train/data_wait', hub.get_scalar('train/data_time').current() / seconds)
