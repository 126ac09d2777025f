"""Parts of the elastic ViT, and the check of its settings."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmcv.cnn.bricks.transformer import PatchEmbed
from mmpretrain.models.backbones import VisionTransformer
from mmpretrain.models.backbones.vision_transformer import TransformerEncoderLayer
from mmpretrain.models.utils import MultiheadAttention
from torch import Tensor, nn

from poa_mm.models.backbones.options import (
    Check,
    anything,
    architecture,
    block_options,
    check_options,
    indices,
    norm,
    one_of,
    pair,
    patch_options,
    rate,
    whole,
)

ARCH = ('embed_dims', 'num_layers', 'num_heads', 'feedforward_channels')
# Arguments of mmpretrain's class that may have any value, or that it checks itself.
UNCHECKED = (
    'final_norm',
    'init_cfg',
    'layer_scale_init_value',
    'pre_norm',
    'qkv_bias',
    'with_cls_token',
)
PATCH_OPTIONS = (
    'kernel_size',
    'stride',
    'padding',
    'dilation',
)  # the options that determine a patch grid


class ElasticPatchEmbed(PatchEmbed):
    """mmcv's patch embedding, with the number of output channels as an argument."""

    def grid(self, height: int, width: int) -> tuple[int, int]:
        """Count the rows and columns of patches of an image of ``height`` × ``width`` pixels."""
        conv = self.projection
        adaptive = self.adaptive_padding is not None
        padding: Any = 'corner' if adaptive else conv.padding
        return patch_grid((height, width), conv.kernel_size, conv.stride, padding, conv.dilation)

    def forward(self, x: Tensor, width: int | None = None) -> tuple[Tensor, tuple[int, int]]:
        """Embed (B, C, H, W) as (B, h·w, width), and return that and (h, w)."""
        if self.adaptive_padding:
            x = self.adaptive_padding(x)
        x = self.projection(x, width)
        size = (x.shape[2], x.shape[3])
        x = x.flatten(2).transpose(1, 2)
        return (x if self.norm is None else self.norm(x)), size


def patch_grid(
    size: tuple[int, int],
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None,
    padding: str | int | Sequence[int] = 'corner',
    dilation: int | Sequence[int] = 1,
) -> tuple[int, int]:
    """Count the rows and columns of patches that mmcv's ``PatchEmbed`` cuts out of an image.

    Args:
        size: Height and width of the image.
        kernel_size: Sides of a patch.
        stride: Distances of patches; ``None`` is their side.
        padding: Pixels on each side, or the name of an adaptive padding, which completes the last
            row and column.
        dilation: Distances of the pixels of a patch.
    """
    kernels, dilations = _pair(kernel_size), _pair(dilation)
    strides = kernels if stride is None else _pair(stride)
    if isinstance(padding, str):
        return -(-size[0] // strides[0]), -(-size[1] // strides[1])
    rows, columns = (
        (length + 2 * pad - spread * (kernel - 1) - 1) // step + 1
        for length, kernel, step, pad, spread in zip(
            size, kernels, strides, _pair(padding), dilations, strict=True
        )
    )
    return rows, columns


def _pair(value: int | Sequence[int]) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (value[0], value[1])


class ElasticMultiheadAttention(MultiheadAttention):
    """mmpretrain's attention with as many heads as the input width holds."""

    def forward(self, x: Tensor) -> Tensor:
        """Attend within (B, N, width)."""
        batch, tokens, width = x.shape
        heads = width // self.head_dims
        qkv = self.qkv(x).reshape(batch, tokens, 3, heads, self.head_dims)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        attn_drop = self.attn_drop if self.training else 0.0
        x = F.scaled_dot_product_attention(q, k, v, dropout_p=attn_drop)
        x = self.proj(x.transpose(1, 2).reshape(batch, tokens, width))
        return self.gamma1(self.proj_drop(x))  # drop path follows in the encoder layer


class ElasticEncoderLayer(TransformerEncoderLayer):
    """mmpretrain's encoder layer, which does not compute the images whose path is dropped."""

    def forward(self, x: Tensor) -> Tensor:
        """Apply attention and feed-forward network to (B, N, width)."""
        drop_prob = self.attn.out_drop.drop_prob if self.training else 0.0
        x = add_residual(x, lambda part: self.attn(self.ln1(part)), drop_prob)
        return add_residual(x, self._feed_forward, drop_prob)

    def _feed_forward(self, x: Tensor) -> Tensor:
        return self.ffn.gamma2(self.ffn.layers(self.ln2(x)))


def add_residual(x: Tensor, branch: Callable[[Tensor], Tensor], drop_prob: float) -> Tensor:
    """Compute ``x + branch(x)``, for a random subset of the batch alone.

    Drop path by batch subset: of B images ``⌊B · (1 − drop_prob)⌋``, and at least one, take
    the branch, scaled so that its expectation stays. The others save its computation.

    Args:
        x: Tokens, (B, N, D).
        branch: Residual branch.
        drop_prob: Drop-path rate; 0 for the whole batch.
    """
    batch = len(x)
    kept = max(1, int(batch * (1 - drop_prob)))
    if kept >= batch:  # also of an empty batch
        return x + branch(x)
    # rand and topk are cheaper to launch than randperm, index_select than indexing (backward).
    subset = torch.rand(batch, device=x.device).topk(kept).indices
    residual = branch(x.index_select(0, subset))
    return x.index_add(0, subset, residual.to(x.dtype), alpha=batch / kept)


def set_drop_path(layers: nn.ModuleList, rate: float) -> None:
    """Give all encoder layers the same drop-path rate."""
    layer: Any
    for layer in layers:
        layer.attn.out_drop.drop_prob = layer.ffn.dropout_layer.drop_prob = rate


def check_vit(arch: Any, options: Mapping[str, Any]) -> None:
    """Check the arguments of mmpretrain's ``VisionTransformer`` for an elastic one.

    Args:
        arch: Name or sizes of the intact network.
        options: The other arguments.

    Raises:
        TypeError: An unknown argument.
        ValueError: A value that is invalid for the class or its elastic form.
    """
    sizes = architecture(arch, VisionTransformer.arch_zoo, ARCH)
    for name in ARCH:
        whole(1)(f'arch: {name}', sizes[name])
    if sizes['embed_dims'] % sizes['num_heads']:
        raise ValueError(
            f'arch: num_heads must divide embed_dims {sizes["embed_dims"]}, got '
            f'{sizes["num_heads"]}'
        )
    depth = sizes['num_layers']
    checks: dict[str, Check] = {
        **dict.fromkeys(UNCHECKED, anything),
        'img_size': pair(1),
        'patch_size': pair(1),
        'in_channels': whole(1),
        'out_indices': indices,
        'drop_rate': rate,
        'drop_path_rate': rate,
        'norm_cfg': norm('LN'),
        'out_type': one_of(*sorted(VisionTransformer.OUT_TYPES)),
        'frozen_stages': whole(-1, depth),
        # mmpretrain passes align_corners, which torch's other modes refuse.
        'interpolate_mode': one_of('bicubic', 'bilinear'),
        'patch_cfg': patch_options,
        'layer_cfgs': block_options(depth),
    }
    check_options('ElasticVisionTransformer', options, checks)
    patch = options.get('patch_size', 16)
    cfg = {'kernel_size': patch, 'stride': patch, **options.get('patch_cfg', {})}
    cut = {key: cfg[key] for key in PATCH_OPTIONS if key in cfg}
    size = _pair(options.get('img_size', 224))
    if min(patch_grid(size, **cut)) < 1:
        raise ValueError(f'img_size {size[0]} × {size[1]} holds no patch of {cut}')
