"""Check that a run starts from all of its pre-trained weights."""

from collections.abc import Iterator
from typing import Any

from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import BaseLoop, Runner
from torch import nn

from poa_mm.engine.inner_model import inner_model
from poa_mm.models.backbones.pretrained import load_into

PRETRAINED = 'Pretrained'


@HOOKS.register_module()
class PretrainedCheckHook(Hook):
    """Load pre-trained weights strictly: every name and shape must fit the model.

    mmengine loads ``init_cfg=dict(type='Pretrained', checkpoint=...)`` as far as names and shapes
    agree, and only warns of the rest: a detector then trains with a random backbone. This hook
    requires all names and shapes to agree, in the tools of every library. It is registered with
    mmengine, so that configs of all scopes find it.

    Exceptions are listed in :mod:`poa_mm.models.backbones.pretrained`; position embeddings are
    resized by the backbone.

    Raises:
        FileNotFoundError: Before training, if there is no such file.
        ValueError: Before training, if weights are missing, unexpected or of another shape, or if
            ``Pretrained`` is one of several entries of an ``init_cfg``.
    """

    def before_run(self, runner: Runner) -> None:
        """Load the weights strictly. mmengine initialises the model only after this."""
        if not isinstance(runner._train_loop, BaseLoop):  # validation and test load a whole model
            return
        model = inner_model(runner.model)
        for module, init_cfg in _pretrained(model):
            load_into(module, init_cfg)


def _pretrained(model: nn.Module) -> Iterator[tuple[nn.Module, dict[str, Any]]]:
    """Yield the modules that start from a file, and their ``init_cfg``."""
    for name, module in model.named_modules():
        init_cfg: Any = getattr(module, 'init_cfg', None)
        if isinstance(init_cfg, dict) and init_cfg.get('type') == PRETRAINED:
            yield module, init_cfg
        elif _is_one_of(init_cfg):
            # mmpretrain's ViT would draw its position embedding anew after loading it.
            raise ValueError(
                f"init_cfg of {name} must be dict(type='Pretrained', ...) alone, not one of "
                f'{len(init_cfg)} entries'
            )


def _is_one_of(init_cfg: Any) -> bool:
    several = isinstance(init_cfg, list | tuple)
    return several and any(item.get('type') == PRETRAINED for item in init_cfg)
