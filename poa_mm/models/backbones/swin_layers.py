"""Parts of the elastic Swin Transformer."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import torch.nn.functional as F
from mmpretrain.models.backbones import SwinTransformer
from mmpretrain.models.backbones.swin_transformer import SwinBlock
from mmpretrain.models.utils import PatchMerging, ShiftWindowMSA, WindowMSA
from torch import Tensor

from poa_mm.compat.relative_bias import resize_bias_table
from poa_mm.models.backbones.feature_maps import check_stages
from poa_mm.models.backbones.options import (
    Check,
    anything,
    architecture,
    check_options,
    norm,
    pair,
    positive_list,
    rate,
    unset,
    whole,
)
from poa_mm.models.backbones.vit_layers import add_residual

OUTPUT_NORM = re.compile(r'norm\d+\.')
ELASTIC_STAGE = 2  # the third one, which holds most blocks
ARCH = ('embed_dims', 'depths', 'num_heads')
# Arguments of mmpretrain's class without an elastic form, and those that any value fits.
FIXED = ('use_abs_pos_embed', 'out_after_downsample', 'stage_cfgs', 'patch_cfg')
UNCHECKED = ('init_cfg', 'interpolate_mode', 'norm_eval', 'pad_small_map')


class ElasticWindowMSA(WindowMSA):
    """mmpretrain's attention within windows, with as many heads as the input width holds."""

    @property
    def full_width(self) -> int:
        """Channels of the intact layer."""
        return self.embed_dims

    @property
    def head_dims(self) -> int:
        """Channels of one head."""
        return self.embed_dims // self.num_heads

    def sliced(self, width: int) -> dict[str, Tensor]:
        """Slice the position bias to the heads that ``width`` holds."""
        table = self.relative_position_bias_table[:, : width // self.head_dims]
        return {'relative_position_bias_table': table}

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Attend within windows.

        Args:
            x: Windows of all images, window by window, (B·W, N, width).
            mask: Added to the attention logits, (W, N, N): large and negative between tokens that
                must not attend to one another.
        """
        windows, tokens, width = x.shape
        heads = width // self.head_dims
        qkv = self.qkv(x).reshape(windows, tokens, 3, heads, self.head_dims)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        table = self.sliced(width)['relative_position_bias_table']
        bias = table[self.relative_position_index.flatten()].T.reshape(heads, tokens, tokens)
        if mask is not None:
            bias = bias + mask[:, None]
            q, k, v = (part.unflatten(0, (-1, len(mask))) for part in (q, k, v))
        dropout = self.attn_drop.p if self.training else 0.0
        x = F.scaled_dot_product_attention(
            q, k, v, attn_mask=bias.to(q.dtype), dropout_p=dropout, scale=self.scale
        )
        x = x.transpose(-3, -2).reshape(windows, tokens, width)
        return self.proj_drop(self.proj(x))


class ElasticShiftWindowMSA(ShiftWindowMSA):
    """mmpretrain's window partition; whether windows are shifted is an argument, not an attribute.

    It depends on the position of a block within its stage, and that on the sub-network.
    """

    def forward(self, x: Tensor, hw_shape: tuple[int, int], shift: bool) -> Tensor:
        """Attend within the windows of (B, H·W, width)."""
        height, width = hw_shape
        size = self.window_size
        if min(hw_shape) < size and not self.pad_small_map:
            raise ValueError(
                f'a map of {height} × {width} is smaller than the window of {size}: set '
                'pad_small_map=True'
            )
        # Where one window covers the map there is nothing to shift, unless maps are padded.
        covered = min(hw_shape) == size and not self.pad_small_map
        offset = size // 2 if shift and not covered else 0
        grid = F.pad(x.unflatten(1, hw_shape), (0, 0, 0, -width % size, 0, -height % size))
        padded = grid.shape[1:3]
        grid = grid.roll((-offset, -offset), dims=(1, 2)) if offset else grid
        windows = self.window_partition(grid, size).flatten(1, 2)
        mask = self.get_attn_mask(padded, size, offset, device=x.device)
        windows = self.w_msa(windows, mask).unflatten(1, (size, size))
        grid = self.window_reverse(windows, *padded, size)
        grid = grid.roll((offset, offset), dims=(1, 2)) if offset else grid
        return grid[:, :height, :width].flatten(1, 2)  # drop path follows in the block


class ElasticPatchMerging(PatchMerging):
    """mmpretrain's patch merging, reduced group-wise: ``w[:2D_i, groups of D_i] · α`` (Eq. 11).

    A merging takes the four neighbours of a 2 × 2 square, D channels each, and maps these four
    groups to 2·D channels. A sub-network keeps the first D_i channels of *each* group. The paper
    and the authors' code put one group after the other; mmpretrain interleaves them, so that input
    4·c + g is channel c of neighbour g. There, the first 4·D_i inputs are the first D_i channels of
    all groups: norm and reduction slice a prefix, as every elastic layer does, and this *is* the
    group-wise slice. ``checkpoints/official/swin.py`` converts from one order to the other.
    """

    def forward(self, x: Tensor, input_size: tuple[int, int]) -> tuple[Tensor, tuple[int, int]]:
        """Merge (B, H·W, D_i) into (B, ⌈H/2⌉·⌈W/2⌉, 2·D_i).

        Args:
            x: Tokens.
            input_size: H and W.

        Returns:
            The merged tokens, and rows and columns of their map.
        """
        maps = self.adaptive_padding(x.unflatten(1, input_size).permute(0, 3, 1, 2))
        groups = F.pixel_unshuffle(maps, 2)  # (B, 4·D_i, rows, columns), interleaved
        tokens = groups.flatten(2).transpose(1, 2)
        if self.norm is not None:
            tokens = self.norm(tokens)
        return self.reduction(tokens), (groups.shape[2], groups.shape[3])


class ElasticSwinBlock(SwinBlock):
    """mmpretrain's block, which does not compute the images whose path is dropped."""

    def forward(self, x: Tensor, hw_shape: tuple[int, int], shift: bool) -> Tensor:
        """Apply attention and feed-forward network to (B, H·W, width)."""
        drop_prob = self.attn.drop.drop_prob if self.training else 0.0
        x = add_residual(x, lambda part: self.attn(self.norm1(part), hw_shape, shift), drop_prob)
        return add_residual(x, lambda part: self.ffn.layers(self.norm2(part)), drop_prob)


def check_swin(arch: Any, options: Mapping[str, Any]) -> None:
    """Check the arguments of mmpretrain's ``SwinTransformer`` for an elastic one.

    Args:
        arch: Name or sizes of the intact network.
        options: The other arguments.

    Raises:
        TypeError: An unknown argument.
        ValueError: A value that is invalid for the class or its elastic form.
    """
    sizes = architecture(arch, SwinTransformer.arch_zoo, ARCH)
    whole(1)('arch: embed_dims', sizes['embed_dims'])
    stages = len(sizes['depths']) if isinstance(sizes['depths'], Sequence) else 0
    if stages <= ELASTIC_STAGE:
        raise ValueError(
            f'arch: depths must be of at least {ELASTIC_STAGE + 1} stages, of which the third one '
            f'is elastic, got {sizes["depths"]!r}'
        )
    for name in ('depths', 'num_heads'):
        positive_list(f'arch: {name}', sizes[name], stages)
    channels = [sizes['embed_dims'] * 2**stage for stage in range(stages)]
    if any(width % heads for width, heads in zip(channels, sizes['num_heads'], strict=True)):
        raise ValueError(
            f'arch: num_heads must divide the channels {channels} of the stages, got '
            f'{sizes["num_heads"]}'
        )
    checks: dict[str, Check] = {
        **dict.fromkeys(UNCHECKED, anything),
        **dict.fromkeys(FIXED, unset),
        'img_size': pair(1),
        'patch_size': pair(1),
        'in_channels': whole(1),
        'window_size': whole(1),
        'drop_rate': rate,
        'drop_path_rate': rate,
        'norm_cfg': norm('LN', optional=True),
        'frozen_stages': whole(-1, stages - 1),
        'out_indices': lambda _, value: check_stages(value, stages),
    }
    check_options('ElasticSwinTransformer', options, checks)
    if stages - 1 not in options['out_indices']:
        raise ValueError(
            f'out_indices must hold the last stage {stages - 1}, got {options["out_indices"]}'
        )


def fit_swin(state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Fit weights of a sub-network to a stock Swin Transformer of other outputs and windows.

    Args:
        state: State dict of the sub-network.
        own: State dict of the stock network; norms of outputs that ``state`` lacks are its own.
    """
    norms = {name: state.get(name, own[name]) for name in own if OUTPUT_NORM.match(name)}
    inside = {
        name: _fit_windows(name, tensor, own)
        for name, tensor in state.items()
        if not OUTPUT_NORM.match(name)
    }
    return {**inside, **norms}


def _fit_windows(name: str, tensor: Tensor, own: Mapping[str, Tensor]) -> Tensor:
    """Fit a weight of a Swin Transformer to one whose windows may be of another size.

    Args:
        name: Name of the weight.
        tensor: The weight; only biases of relative positions depend on the size.
        own: State dict of the network that is to hold it.
    """
    if name.endswith('relative_position_index'):  # computed from the size
        return own.get(name, tensor)
    if not name.endswith('relative_position_bias_table') or len(own[name]) == len(tensor):
        return tensor
    source, target = math.isqrt(len(tensor)), math.isqrt(len(own[name]))
    return resize_bias_table(source, target, tensor, tensor.shape[1])


def shift_arguments(stages: Sequence[Sequence[bool]]) -> dict[str, Any]:
    """Return the arguments of mmpretrain's ``SwinTransformer`` by which blocks shift windows.

    Args:
        stages: Whether each block of each stage shifts its windows.

    Returns:
        ``stage_cfgs``, or nothing if every second block shifts, which is the default.
    """
    cfgs = [
        {'block_cfgs': [{'shift': shift} for shift in shifts]}
        if any(shift != (position % 2 == 1) for position, shift in enumerate(shifts))
        else {}
        for shifts in stages
    ]
    return {'stage_cfgs': cfgs} if any(cfgs) else {}
