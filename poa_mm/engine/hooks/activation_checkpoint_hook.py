"""Recompute activations in the backward pass, in any backbone."""

import functools
from collections.abc import Sequence

from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch import nn
from torch.utils.checkpoint import checkpoint

from poa_mm.engine.inner_model import inner_model


@HOOKS.register_module()
class ActivationCheckpointHook(Hook):
    """Recompute blocks in the backward pass: less memory for about a third more time.

    mmpretrain's ViT has no such option; its Swin and ResNet, and mmengine's
    ``activation_checkpointing``, use torch's reentrant variant, which needs inputs with a gradient
    and warns. Outputs, gradients and the names of parameters stay the same.

    Args:
        modules: Names of lists of blocks in the model, such as ``['backbone.layers']`` (ViT),
            ``['backbone.stages.2.blocks']`` (Swin) or ``['backbone.layer3']`` (ResNet).

    Raises:
        ValueError: Before training, if the model has no such list.
    """

    def __init__(self, modules: Sequence[str]) -> None:
        self.modules = [modules] if isinstance(modules, str) else list(modules)

    def before_train(self, runner: Runner) -> None:
        """Wrap the blocks, once their weights are there."""
        model = inner_model(runner.model)
        recompute_blocks(model, self.modules)


def recompute_blocks(model: nn.Module, names: Sequence[str]) -> None:
    """Have all blocks of these lists of a model recompute their activations.

    Raises:
        ValueError: The model has no such list; says which its backbone has.
    """
    for name in names:
        for block in _blocks(model, name):
            block.forward = functools.partial(  # of this instance
                checkpoint, block.forward, use_reentrant=False
            )


def _blocks(model: nn.Module, name: str) -> list[nn.Module]:
    lists = {
        path: module
        for path, module in model.named_modules()
        if isinstance(module, nn.ModuleList | nn.Sequential)
    }
    if name not in lists:
        valid = [path for path in lists if path.startswith('backbone.')]
        raise ValueError(f'the model has no list of blocks {name!r}; the backbone has {valid}')
    return list(lists[name])
