"""Build the parameter groups of the optimiser."""

import re
from typing import Any

from mmengine.logging import print_log
from mmengine.optim import DefaultOptimWrapperConstructor
from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS
from torch import nn

FACTORS = ('layer_decay', 'patch_embed_mult')
OPTIONS = (*FACTORS, 'official_decay')
PROTOTYPES = '.prototypes.'  # in the names of the parameters of last layers
# The norms of a ResNet's shortcuts, which the authors' code does not know by their name.
SHORTCUT_NORM = re.compile(r'\.downsample\.\d+\.weight$')


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class LayerDecayConstructor(DefaultOptimWrapperConstructor):
    """Lower learning rates from the last layer to the first; decay weights only (App. C.7).

    Works on any model with a ``backbone`` that has ``get_layer_depth``: pre-training, classifiers,
    detectors, segmentors. Parameters outside the backbone train at the full learning rate. Weight
    decay leaves out biases, norms, LayerScale, tokens and position embeddings. Parameters without a
    gradient, such as the teacher's, get no group.

    Each group keeps two labels in ``optimizer.param_groups``: ``module``, the top-level child of
    the model that its parameters belong to, and ``last_layer``, whether they are prototypes.

    ``paramwise_cfg`` takes:

    - ``layer_decay``: factor from one layer to the one below it; 1 (the default) for none.
    - ``patch_embed_mult``: further factor on the patch embedding, 1 by default.
    - ``official_decay``: ``True`` for weight decay as in the authors' code, also on class, mask and
      position tokens, Swin's position biases and the norms of a ResNet's shortcuts. ``False`` by
      default.

    Raises:
        ValueError: Another key, a factor outside (0, 1], or an ``official_decay`` that is no bool.
        TypeError: ``layer_decay`` for a model without such a backbone.
    """

    def __init__(self, optim_wrapper_cfg: dict, paramwise_cfg: dict | None = None) -> None:
        # mmengine skips add_params where there are no options at all.
        super().__init__(optim_wrapper_cfg, {'layer_decay': 1.0, **(paramwise_cfg or {})})

    def _validate_cfg(self) -> None:
        super()._validate_cfg()
        unknown = sorted(set(self.paramwise_cfg) - set(OPTIONS))
        if unknown:
            raise ValueError(f'paramwise_cfg takes {OPTIONS}, got {unknown}')
        for key in FACTORS:
            value = self.paramwise_cfg.get(key, 1.0)
            if not 0 < value <= 1:
                raise ValueError(f'{key} must be within (0, 1], got {value}')
        official = self.paramwise_cfg.get('official_decay', False)
        if not isinstance(official, bool):
            raise ValueError(f'official_decay must be True or False, got {official!r}')

    def add_params(self, params: list[dict[str, Any]], module: nn.Module, **kwargs: Any) -> None:
        """Append the parameter groups of a whole model to ``params``."""
        groups: dict[tuple[float, bool, str, bool], list[nn.Parameter]] = {}
        for name, parameter in module.named_parameters():
            if parameter.requires_grad:
                key = (
                    self._lr_mult(name, module),
                    self._decays(name, parameter),
                    name.split('.', 1)[0],
                    PROTOTYPES in name,
                )
                groups.setdefault(key, []).append(parameter)
        for key, members in sorted(groups.items(), key=lambda group: group[0]):
            lr_mult, decays, child, last_layer = key
            group = {
                'params': members,
                'lr': self.base_lr * lr_mult,
                'module': child,
                'last_layer': last_layer,
            }
            if not decays:
                group['weight_decay'] = 0.0
            params.append(group)
            print_log(
                f'{len(members)} {"last-layer " if last_layer else ""}parameters of {child}: '
                f'lr × {lr_mult:.4g}, {"with" if decays else "no"} weight decay',
                logger='current',
            )

    def _lr_mult(self, name: str, module: Any) -> float:
        layer_decay = self.paramwise_cfg.get('layer_decay', 1.0)
        mult = 1.0
        if layer_decay != 1.0:
            if not hasattr(getattr(module, 'backbone', None), 'get_layer_depth'):
                raise TypeError(
                    'layer_decay needs a model whose backbone has get_layer_depth, '
                    f'{type(module).__name__} has none'
                )
            depth, num_layers = module.backbone.get_layer_depth(name, 'backbone.')
            mult = layer_decay ** (num_layers - 1 - depth)
        if name.startswith('backbone.patch_embed.'):
            mult *= self.paramwise_cfg.get('patch_embed_mult', 1.0)
        return mult

    def _decays(self, name: str, parameter: nn.Parameter) -> bool:
        if self.paramwise_cfg.get('official_decay', False):
            return parameter.ndim > 1 or SHORTCUT_NORM.search(name) is not None
        # Tokens, embeddings, tables and scales have names of their own, in any backbone.
        return parameter.ndim > 1 and 'weight' in name.rsplit('.', 1)[-1]
