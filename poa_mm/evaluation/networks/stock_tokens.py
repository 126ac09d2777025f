"""Class and patch tokens of mmpretrain's stock backbones."""

import math
from collections.abc import Callable
from functools import partial

from mmpretrain.models.backbones import ResNet, SwinTransformer, VisionTransformer
from torch import Tensor, nn

from poa_mm.evaluation.folder_features import pooled
from poa_mm.evaluation.networks.levels import watch_levels
from poa_mm.evaluation.networks.measured import Tokens
from poa_mm.models.backbones.feature_maps import finer_tokens

__all__ = ['stock_tokens']

RESNET_STEM = 4  # stride of a ResNet before its stages


def stock_tokens(net: nn.Module) -> Callable[[Tensor], Tokens]:
    """Make a function from images to the tokens of a stock backbone.

    They are those of the sub-network that the backbone was extracted from: where maps shrink from
    stage to stage, patch tokens are the last map at twice its resolution.

    Args:
        net: Backbone in evaluation mode, as :func:`poa_mm.load_backbone` returns it.

    Returns:
        The function. It raises a ValueError for a backbone without a class token that gives tokens
        rather than a map, since it is not known which axis the tokens are.
    """
    run = _vit_tokens(net) if isinstance(net, VisionTransformer) else partial(_map_tokens, net)
    levels_of = watch_levels(net)

    def run_with_levels(images: Tensor) -> Tokens:
        tokens = run(images)
        return tokens._replace(levels=levels_of(tokens.cls))

    return run_with_levels


def _vit_tokens(net: VisionTransformer) -> Callable[[Tensor], Tokens]:
    net.out_type = 'raw'  # all tokens, after the final norm
    prefix = 0 if net.cls_token is None else net.num_extra_tokens
    grids: list[tuple[int, int]] = []
    net.patch_embed.register_forward_hook(lambda module, images, out: grids.append(tuple(out[1])))

    def run(images: Tensor) -> Tokens:
        grids.clear()
        out = net(images)[-1]
        patches = out[:, prefix:]
        return Tokens(out[:, 0] if prefix else patches.mean(dim=1), patches, grids[0])

    return run


def _map_tokens(net: nn.Module, images: Tensor) -> Tokens:
    out = net(images)[-1]
    if out.ndim != 4:
        feature = pooled(net, images)  # raises where it is not clear what it is
        return Tokens(feature, feature[:, None], (1, 1))
    size = (out.shape[2], out.shape[3])
    tokens = out.flatten(2).mT
    feature = out.mean(dim=(2, 3))
    step = _stride(net)
    if step is None:
        return Tokens(feature, tokens, size)
    half = step // 2
    grid = (-(-images.shape[2] // half), -(-images.shape[3] // half))
    return Tokens(feature, finer_tokens(tokens, size, grid), grid)


def _stride(net: nn.Module) -> int | None:
    """Return the pixels that a place of the last map spans, of families whose maps shrink."""
    if isinstance(net, SwinTransformer):
        return net.patch_embed.projection.kernel_size[0] * 2 ** (net.num_layers - 1)
    return RESNET_STEM * math.prod(net.strides) if isinstance(net, ResNet) else None
