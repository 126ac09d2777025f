"""Parts of the elastic Swin Transformer (paper App. A)."""

from collections.abc import Sequence
from typing import Any

import torch.nn.functional as F
from mmpretrain.models.backbones.swin_transformer import SwinBlock
from mmpretrain.models.utils import ShiftWindowMSA, WindowMSA
from torch import Tensor

from poa_mm.models.backbones.vit_layers import add_residual


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
        """The position bias of the heads that ``width`` holds."""
        table = self.relative_position_bias_table[:, : width // self.head_dims]
        return {'relative_position_bias_table': table}

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Attend within windows.

        Args:
            x: Windows of all images, window by window, (B·W, N, width).
            mask: What must not attend to what, (W, N, N), to be added to the logits.
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

    Which one of a stage a block is depends on the sub-network.
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
        return grid[:, :height, :width].flatten(1, 2)  # the block drops paths


class ElasticSwinBlock(SwinBlock):
    """mmpretrain's block, which leaves out the images whose path is dropped."""

    def forward(self, x: Tensor, hw_shape: tuple[int, int], shift: bool) -> Tensor:
        """Attention and feed-forward network on (B, H·W, width)."""
        drop_prob = self.attn.drop.drop_prob if self.training else 0.0
        x = add_residual(x, lambda part: self.attn(self.norm1(part), hw_shape, shift), drop_prob)
        return add_residual(x, lambda part: self.ffn.layers(self.norm2(part)), drop_prob)


def shift_arguments(stages: Sequence[Sequence[bool]]) -> dict[str, Any]:
    """What tells mmpretrain's ``SwinTransformer`` which blocks shift their windows.

    Args:
        stages: Whether each block of each stage does.

    Returns:
        Its argument ``stage_cfgs``, or nothing if every second block shifts, as by itself.
    """
    cfgs = [
        {'block_cfgs': [{'shift': shift} for shift in shifts]}
        if any(shift != (position % 2 == 1) for position, shift in enumerate(shifts))
        else {}
        for shifts in stages
    ]
    return {'stage_cfgs': cfgs} if any(cfgs) else {}
