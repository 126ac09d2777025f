"""Stock backbones of mmpretrain as networks of timm: model, arguments, names of weights."""

import functools
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mmpretrain.models.backbones import ResNet, SwinTransformer, VisionTransformer
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from poa_mm.checkpoints.preprocessing import ImageSize
from poa_mm.export.timm_limits import ANOTHER, Norm, activation, check_convolution, common_eps

STEM_CHANNELS = 64  # of timm's ResNet
STRIDES = (1, 2, 2, 2)  # of timm's ResNet
VIT_EPS = 1e-6
# Models by ε of their norms, which no argument can set.
VIT_NAMES = {VIT_EPS: 'vit_base_patch16_224', 1e-5: 'vit_base_patch16_clip_224'}
VIT_SIZES = {
    (192, 12, 3): 'vit_tiny_patch16_224',
    (384, 12, 6): 'vit_small_patch16_224',
    (1024, 24, 16): 'vit_large_patch16_224',
}
EMBEDDING_EPS = 1e-6  # of the norm that timm calls 'layernorm'
SWIN_EPS = 1e-5
GROUP_NORMS = {32: 'groupnorm', 1: 'groupnorm1'}  # by number of groups
GROUP_NORM_EPS = 1e-5
VIT_RENAMED = {
    r'^patch_embed\.projection\.': 'patch_embed.proj.',
    r'^layers\.(\d+)\.ln([12])\.': r'blocks.\1.norm\2.',
    r'^layers\.(\d+)\.attn\.gamma1\.weight$': r'blocks.\1.ls1.gamma',
    r'^layers\.(\d+)\.ffn\.gamma2\.weight$': r'blocks.\1.ls2.gamma',
    r'^layers\.(\d+)\.attn\.': r'blocks.\1.attn.',
    r'^layers\.(\d+)\.ffn\.layers\.0\.0\.': r'blocks.\1.mlp.fc1.',
    r'^layers\.(\d+)\.ffn\.layers\.1\.': r'blocks.\1.mlp.fc2.',
    r'^pre_norm\.': 'norm_pre.',
    r'^ln1\.': 'norm.',
}
SWIN_RENAMED = {
    r'^patch_embed\.projection\.': 'patch_embed.proj.',
    r'^stages\.(\d+)\.blocks\.(\d+)\.attn\.w_msa\.': r'layers.\1.blocks.\2.attn.',
    r'^stages\.(\d+)\.blocks\.(\d+)\.ffn\.layers\.0\.0\.': r'layers.\1.blocks.\2.mlp.fc1.',
    r'^stages\.(\d+)\.blocks\.(\d+)\.ffn\.layers\.1\.': r'layers.\1.blocks.\2.mlp.fc2.',
    r'^stages\.(\d+)\.blocks\.': r'layers.\1.blocks.',
}
RESNET_RENAMED = {r'\bgn(\d)\.': r'bn\1.'}


@dataclass(frozen=True)
class TimmForm:
    """A network of timm.

    Args:
        model: Name for ``timm.create_model``.
        kwargs: The other arguments of ``timm.create_model``, as plain data.
        state: Weights under timm's names.
    """

    model: str
    kwargs: Mapping[str, Any]
    state: Mapping[str, Tensor]


@functools.singledispatch
def timm_form(net: nn.Module, image_size: ImageSize) -> TimmForm:
    """Find the same network in timm.

    Register other families with ``timm_form.register``.

    Args:
        net: Backbone of mmpretrain.
        image_size: Height and width of its input images.

    Raises:
        ValueError: timm has no such network.
    """
    raise ValueError(
        f'timm names are known for VisionTransformer, SwinTransformer and ResNet, not for '
        f'{type(net).__name__}; another format keeps the names of its class'
    )


@timm_form.register
def _(net: VisionTransformer, image_size: ImageSize) -> TimmForm:
    _check_patches(net, image_size)
    embedding = net.patch_embed
    pre_norm = isinstance(net.pre_norm, nn.LayerNorm)
    check_convolution(embedding.projection, bias=not pre_norm)
    eps = common_eps(_vit_norms(net), nn.LayerNorm, VIT_NAMES, 'norm_cfg')
    arch = net.arch_settings
    width, depth, heads = (arch[key] for key in ('embed_dims', 'num_layers', 'num_heads'))
    state = _renamed(net.state_dict(), VIT_RENAMED)
    kwargs = {
        'img_size': list(image_size),
        'patch_size': list(embedding.projection.kernel_size),
        'in_chans': embedding.projection.in_channels,
        'embed_dim': width,
        'depth': depth,
        'num_heads': heads,
        'mlp_ratio': _ratio(arch['feedforward_channels'], width),
        'qkv_bias': 'blocks.0.attn.qkv.bias' in state,
        'pre_norm': pre_norm,
        'final_norm': 'norm.weight' in state,
    }
    if (name := activation(layer.ffn.layers[0][1] for layer in net.layers)) != 'gelu':
        kwargs['act_layer'] = name
    if embedding.norm is not None:
        common_eps([embedding.norm], nn.LayerNorm, [EMBEDDING_EPS], 'patch_cfg with norm_cfg')
        kwargs['embed_norm_layer'] = 'layernorm'
    if 'blocks.0.ls1.gamma' in state:
        kwargs['init_values'] = 1e-5  # any number: it is overwritten by the weights
    model = VIT_NAMES[eps]
    if eps == VIT_EPS:
        model = VIT_SIZES.get((width, depth, heads), model)
    return TimmForm(model, kwargs, state)


def _vit_norms(net: VisionTransformer) -> list[Norm]:
    """List all norms except that of the patch embedding."""
    norms = [norm for layer in net.layers for norm in (layer.ln1, layer.ln2)]
    if not isinstance(net.pre_norm, nn.Identity):
        norms.append(net.pre_norm)
    return [*norms, net.ln1] if net.final_norm else norms


@timm_form.register
def _(net: SwinTransformer, image_size: ImageSize) -> TimmForm:
    _check_patches(net, image_size)
    _check_windows(net, image_size)
    arch = net.arch_settings
    last = len(arch['depths']) - 1
    check_convolution(net.patch_embed.projection, bias=True)
    norms = [
        norm
        for stage in net.stages
        for block in stage.blocks
        for norm in (block.norm1, block.norm2)
    ]
    norms.append(getattr(net, f'norm{last}'))
    common_eps(norms, nn.LayerNorm, [SWIN_EPS], 'norm_cfg')
    state = _renamed(net.state_dict(), {**SWIN_RENAMED, rf'^norm{last}\.': 'norm.'})
    # Norms of the other output maps, and indices that timm computes itself.
    dropped = re.compile(r'norm\d\.|.*\.relative_position_index$')
    state = {name: tensor for name, tensor in state.items() if not dropped.match(name)}
    projection, attention = net.patch_embed.projection, net.stages[0].blocks[0].attn
    kwargs = {
        'img_size': list(image_size),
        'patch_size': list(projection.kernel_size),
        'in_chans': projection.in_channels,
        'embed_dim': arch['embed_dims'],
        'depths': list(arch['depths']),
        'num_heads': list(arch['num_heads']),
        'window_size': attention.window_size,
        'always_partition': attention.pad_small_map,
        'drop_path_rate': 0.0,
    }
    state = dict(_merging_in_timm(name, tensor) for name, tensor in state.items())
    return TimmForm('swin_tiny_patch4_window7_224', kwargs, state)


@timm_form.register
def _(net: ResNet, image_size: ImageSize) -> TimmForm:
    _check_resnet(net)
    stages = [getattr(net, name) for name in net.res_layers]
    planes = [stage[0].out_channels // 4 for stage in stages]
    kwargs = {
        'layers': [len(stage) for stage in stages],
        'channels': planes,
        'base_width': _ratio(stages[0][0].mid_channels, planes[0]) * 64,  # a power of two is exact
        'in_chans': net.conv1.in_channels,
        'norm_layer': GROUP_NORMS[net.norm1.num_groups],
    }
    return TimmForm('resnet50_gn', kwargs, _renamed(net.state_dict(), RESNET_RENAMED))


def _check_resnet(net: ResNet) -> None:
    """Check that timm's ResNet has the same norms, strides, stem and stages.

    Raises:
        ValueError: One of them differs.
    """
    norms = [module for module in net.modules() if isinstance(module, nn.GroupNorm | _BatchNorm)]
    common_eps(norms, nn.GroupNorm, [GROUP_NORM_EPS], 'norm_cfg')
    groups = sorted({norm.num_groups for norm in norms if isinstance(norm, nn.GroupNorm)})
    if len(groups) != 1 or groups[0] not in GROUP_NORMS:
        raise ValueError(
            f"timm's ResNet takes {' or '.join(map(str, GROUP_NORMS))} groups in its norms, "
            f'norm_cfg gives this network {", ".join(map(str, groups))}; {ANOTHER}'
        )
    if net.stem_channels != STEM_CHANNELS:
        raise ValueError(
            f"timm's ResNet has {STEM_CHANNELS} channels in its stem, not {net.stem_channels} "
            f'(stem_channels); {ANOTHER}'
        )
    if tuple(net.strides) != STRIDES:
        raise ValueError(
            f"timm's ResNet has four stages with strides {STRIDES}, this network has strides "
            f'{tuple(net.strides)}; {ANOTHER}'
        )
    if net.style != 'pytorch':
        raise ValueError(
            "timm's bottlenecks have their stride in the 3 × 3 convolution; this network has it "
            f'in the first one (style={net.style!r}); {ANOTHER}'
        )


def _renamed(state: Mapping[str, Tensor], rules: Mapping[str, str]) -> dict[str, Tensor]:
    """Apply the first matching rule to each name."""
    renamed = {}
    for name, tensor in state.items():
        pattern = next((rule for rule in rules if re.search(rule, name)), None)
        renamed[re.sub(pattern, rules[pattern], name) if pattern else name] = tensor
    return renamed


def _ratio(hidden: int, width: int) -> float:
    """Compute a ratio from which timm's ``int(width * ratio)`` gives ``hidden`` again."""
    ratio = hidden / width
    return ratio if int(width * ratio) == hidden else math.nextafter(ratio, math.inf)


def _merging_in_timm(name: str, tensor: Tensor) -> tuple[str, Tensor]:
    """Convert a weight of a patch merging; return others unchanged.

    mmpretrain merges after a stage and orders the inputs by channel, row, column; timm merges
    before the next stage and orders by column, row, channel.
    """
    match = re.fullmatch(r'stages\.(\d+)\.downsample\.(.*)', name)
    if match is None:
        return name, tensor
    inputs = tensor.unflatten(-1, (-1, 2, 2)).movedim((-1, -2), (-3, -2)).flatten(-3)
    return f'layers.{int(match[1]) + 1}.downsample.{match[2]}', inputs


def _check_patches(net: VisionTransformer | SwinTransformer, image_size: ImageSize) -> None:
    patch = net.patch_embed.projection.kernel_size
    if any(length % side for length, side in zip(image_size, patch, strict=True)):
        raise ValueError(
            f'timm takes whole patches of {patch[0]} × {patch[1]} pixels alone, which images of '
            f'{image_size[0]} × {image_size[1]} do not have'
        )


def _check_windows(net: SwinTransformer, image_size: ImageSize) -> None:
    """Check that timm places the windows in the same way.

    Raises:
        ValueError: Blocks do not shift alternately, or shifted windows do not fit into a map:
            mmpretrain pads it, then shifts; timm shifts, then pads.
    """
    patch = net.patch_embed.projection.kernel_size[0]
    size = [-(-length // patch) for length in image_size]
    for stage in net.stages:
        attentions = [block.attn for block in stage.blocks]
        window, padded = attentions[0].window_size, attentions[0].pad_small_map
        shifts = [attention.shift_size for attention in attentions]
        if shifts != [position % 2 * (window // 2) for position in range(len(shifts))]:
            raise ValueError(
                "every second block of timm's Swin Transformer shifts its windows; those of this "
                f"sub-network shift by {shifts}, as in the authors' code"
            )
        fits = not any(length % window for length in size)
        # If one window spans one side of a map, mmpretrain does not shift; timm shifts along the
        # other side.
        alike = padded or size[0] == size[1] or window not in size
        if any(shifts) and not (fits and alike):
            raise ValueError(
                f"timm's Swin Transformer shifts windows of {window} otherwise in a map of "
                f'{size[0]} × {size[1]}; export for square images of a multiple of '
                f'{patch * window * 2 ** (len(net.stages) - 1)} pixels'
            )
        size = [-(-length // 2) for length in size]
