"""Features from within single networks, which linear probing joins: of mmpretrain and of timm."""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from mmpretrain.models.backbones import ResNet, SwinTransformer, VisionTransformer
from torch import Tensor, nn

from poa_mm.models.backbones.levels import LEVELS, evenly_spaced

__all__ = ['timm_features', 'watch_levels']

Levels = tuple[Tensor, ...] | None


def watch_levels(net: nn.Module) -> Callable[[Tensor], Levels]:
    """Have a stock backbone keep the features of its levels whenever it runs.

    They are those of the sub-network that it was extracted from
    (:meth:`~poa_mm.models.backbones.ElasticBackbone.level_blocks`), whatever its outputs are.

    Args:
        net: Stock backbone of mmpretrain.

    Returns:
        A function to call after each run: it takes the feature (B, D) of the last level, and
        returns those of all levels, or None for families that have no others.
    """
    kept: dict[int, Tensor] = {}

    def keep(
        number: int, feature: Callable[[Tensor], Tensor], module: nn.Module, inputs: Any, out: Any
    ) -> None:
        kept[number] = feature(out)

    taps = _taps(net)
    for number, (module, feature) in enumerate(taps):
        module.register_forward_hook(partial(keep, number, feature))

    def take(last: Tensor) -> Levels:
        return (*(kept.pop(number) for number in range(len(taps))), last) if taps else None

    return take


def _taps(net: Any) -> list[tuple[nn.Module, Callable[[Tensor], Tensor]]]:
    """Return, of each level but the last, the module to watch and how its output is pooled."""
    if isinstance(net, VisionTransformer):
        norm = net.ln1 if net.final_norm else nn.Identity()
        blocks = evenly_spaced(len(net.layers))[:-1] if net.cls_token is not None else ()
        return [(net.layers[block], lambda out: norm(out[:, 0])) for block in blocks]
    if isinstance(net, SwinTransformer):
        return [
            (stage.blocks[-1], partial(_normalised_mean, _stage_norm(net, number)))
            for number, stage in enumerate(net.stages[:-1])
        ]
    if isinstance(net, ResNet):
        stages = [getattr(net, name) for name in net.res_layers[:-1]]
        return [(stage, lambda out: out.flatten(2).mean(dim=2)) for stage in stages]
    return []


def _stage_norm(net: Any, stage: int) -> Callable[[Tensor], Tensor]:
    """Return the norm of a stage's output, or an untrained one where the network has none."""
    norm = getattr(net, f'norm{stage}', None)
    eps = getattr(net, f'norm{net.num_layers - 1}').eps
    return norm or (lambda out: F.layer_norm(out, out.shape[-1:], eps=eps))


def _normalised_mean(norm: Callable[[Tensor], Tensor], out: Tensor) -> Tensor:
    return norm(out).mean(dim=1)


def timm_features(net: nn.Module) -> Callable[[Tensor], tuple[Any, Callable[[Tensor], Levels]]]:
    """Make a function from images to the last features of a model of timm and those of its levels.

    Levels are what the model's own ``forward_intermediates`` gives: of four evenly spaced blocks,
    after the final norm, where all blocks have the same resolution, and else of the last stages.

    Args:
        net: Model in evaluation mode.

    Returns:
        The function. It returns what ``net.forward_features(images)`` returns, and a function that
        takes the pooled feature (B, D) of it and returns those of all levels, or None for models
        that do not give others.
    """
    model: Any = net
    infos = getattr(net, 'feature_info', None)
    if not infos or not hasattr(net, 'forward_intermediates'):
        return lambda images: (model.forward_features(images), lambda last: None)
    reductions = [info['reduction'] for info in infos]
    same = len(set(reductions)) == 1
    indices = evenly_spaced(len(infos)) if same else range(len(infos))[-LEVELS:]
    known = inspect.signature(model.forward_intermediates).parameters
    options: dict[str, Any] = {'indices': list(indices)}
    options |= {name: same for name in ('norm', 'return_prefix_tokens') if name in known}
    run = partial(model.forward_intermediates, **options)
    agrees: list[bool] = []

    def features(images: Tensor) -> tuple[Any, Callable[[Tensor], Levels]]:
        if not agrees:  # in some models the two go different ways
            agrees.append(_same(run(images[:1])[0], model.forward_features(images[:1])))
        out, outs = run(images)
        if not agrees[0]:
            out = model.forward_features(images)
        return out, lambda last: (*(_pooled(model, level) for level in outs[:-1]), last)

    return features


def _same(one: Any, other: Any) -> bool:
    tensors = isinstance(one, Tensor) and isinstance(other, Tensor)
    return tensors and one.shape == other.shape and torch.allclose(one, other)


def _pooled(net: Any, level: Tensor | tuple[Tensor, Tensor]) -> Tensor:
    """Return the class token of a level if the model's feature is one, or else its mean."""
    if isinstance(level, Tensor):
        return level.flatten(2).mean(dim=2)
    patches, prefix = level
    if getattr(net, 'global_pool', '') == 'token' and prefix.shape[1]:
        return prefix[:, 0]
    return patches.flatten(2).mean(dim=2)
