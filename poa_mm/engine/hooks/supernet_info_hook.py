"""Store in each checkpoint how to build its supernet."""

from mmengine.hooks import Hook
from mmengine.runner import Runner

from poa_mm.checkpoints.checkpoint import SUPERNET_INFO
from poa_mm.engine.hooks.poa_hook import pretraining_of
from poa_mm.registry import HOOKS


@HOOKS.register_module()
class SupernetInfoHook(Hook):
    """Store in each checkpoint, as plain data, how to build its supernet and the whole config.

    :func:`poa_mm.load_supernet` and the tools open such a file without being told the config, and
    without running code that came with the file.
    """

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Add the information."""
        checkpoint[SUPERNET_INFO] = {
            'backbone': pretraining_of(runner, self).backbone.config,
            'config': runner.cfg.to_dict(),
        }
