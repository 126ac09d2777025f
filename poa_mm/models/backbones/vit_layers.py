"""Parts of the elastic ViT: layers that fix their width elsewhere, and what its settings may be."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from mmcv.cnn.bricks.transformer import PatchEmbed
from mmpretrain.models.backbones.vision_transformer import TransformerEncoderLayer
from mmpretrain.models.utils import MultiheadAttention
from torch import Tensor, nn

# What layer_cfgs may set: nothing that changes a shape, no regularisation.
BLOCK_OPTIONS = ('act_cfg',)


class ElasticPatchEmbed(PatchEmbed):
    """mmcv's patch embedding, with the number of output channels as an argument."""

    def forward(self, x: Tensor, width: int | None = None) -> tuple[Tensor, tuple[int, int]]:
        """Embed (B, C, H, W) as (B, h·w, width) and tell (h, w)."""
        if self.adaptive_padding:
            x = self.adaptive_padding(x)
        x = self.projection(x, width)
        size = (x.shape[2], x.shape[3])
        x = x.flatten(2).transpose(1, 2)
        return (x if self.norm is None else self.norm(x)), size


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
        return self.gamma1(self.proj_drop(x))  # the encoder layer drops paths


class ElasticEncoderLayer(TransformerEncoderLayer):
    """mmpretrain's encoder layer, which leaves out the images whose path is dropped."""

    def forward(self, x: Tensor) -> Tensor:
        """Attention and feed-forward network on (B, N, width)."""
        drop_prob = self.attn.out_drop.drop_prob if self.training else 0.0
        x = add_residual(x, lambda part: self.attn(self.ln1(part)), drop_prob)
        return add_residual(x, self._feed_forward, drop_prob)

    def _feed_forward(self, x: Tensor) -> Tensor:
        return self.ffn.gamma2(self.ffn.layers(self.ln2(x)))


def add_residual(x: Tensor, branch: Callable[[Tensor], Tensor], drop_prob: float) -> Tensor:
    """``x + branch(x)``, computed for a random subset of the batch alone.

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
    # Cheaper to launch than randperm, as index_select's gradient is than that of indexing.
    subset = torch.rand(batch, device=x.device).topk(kept).indices
    residual = branch(x.index_select(0, subset))
    return x.index_add(0, subset, residual.to(x.dtype), alpha=batch / kept)


def set_drop_path(layers: nn.ModuleList, rate: float) -> None:
    """Give all encoder layers the same drop-path rate."""
    layer: Any
    for layer in layers:
        layer.attn.out_drop.drop_prob = layer.ffn.dropout_layer.drop_prob = rate


def check_layer_cfgs(layer_cfgs: Any) -> None:
    """Refuse settings of blocks that an extracted network could not follow.

    Raises:
        ValueError: A setting other than those of ``BLOCK_OPTIONS``.
    """
    for cfg in layer_cfgs if isinstance(layer_cfgs, list | tuple) else [layer_cfgs]:
        wrong = sorted(set(cfg) - set(BLOCK_OPTIONS))
        if wrong:
            raise ValueError(f'layer_cfgs takes {BLOCK_OPTIONS} in an elastic network, got {wrong}')
