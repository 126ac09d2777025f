"""Elastic Vision Transformer (paper Sec. 3.1)."""

import copy
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import torch
from mmcv.cnn.bricks import scale as mmcv_scale
from mmcv.cnn.bricks.transformer import PatchEmbed
from mmpretrain.models.backbones import VisionTransformer
from mmpretrain.models.backbones.vision_transformer import TransformerEncoderLayer
from mmpretrain.models.utils import LayerScale, MultiheadAttention, resize_pos_embed
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from poa_mm.elastic import (
    ElasticLayerNorm,
    ElasticLayerScale,
    ElasticLinear,
    ElasticOutputConv2d,
    ElasticQKV,
    Subnet,
    active_blocks,
    head_widths,
    make_elastic,
)
from poa_mm.models.backbones.elastic_backbone import ElasticBackbone, stock_arguments
from poa_mm.models.backbones.levels import evenly_spaced
from poa_mm.models.backbones.vit_layers import (
    ElasticEncoderLayer,
    ElasticMultiheadAttention,
    ElasticPatchEmbed,
    check_vit,
    set_drop_path,
)
from poa_mm.registry import ELASTIC_BACKBONES, MODELS

# Sizes with well-known names; their head dimension is 64.
VIT_SIZES = {
    'vit-t': Subnet(192, 12),
    'vit-s': Subnet(384, 12),
    'vit-b': Subnet(768, 12),
    'vit-l': Subnet(1024, 24),
}
NAMED_HEAD_DIM = 64


@MODELS.register_module()
@ELASTIC_BACKBONES.register_module()
class ElasticVisionTransformer(ElasticBackbone, VisionTransformer):
    """A Vision Transformer that also runs as any of its sub-networks.

    Parameter names, initialisation and, for ``subnet=None``, outputs are those of mmpretrain's
    ``VisionTransformer``. Every sub-network can be extracted as one.

    Args:
        arch: The intact network: a name or a dict, as mmpretrain's ``VisionTransformer`` takes.
        widths: Elastic widths; multiples of the head dimension up to the intact width (Eq. 1).
            Defaults to the intact width alone.
        depths: Elastic depths up to the intact one. Defaults to the intact depth alone.
        gamma: γ of the sampling weights (Eq. 14).
        out_indices: Blocks to output, counted within the sub-network; negative ones from its end.
        drop_path_uniform: Drop paths at ``drop_path_rate`` in every block, not at a rate that rises
            to it. Either way a subset of the batch skips a branch (:func:`add_residual`).
        with_mask_token: Have a token that stands in for masked patches. It belongs to pre-training
            and is not extracted.
        with_cp: Recompute each block in the backward pass instead of keeping its activations.
        alpha_scaling: Scale weights by α where their input is reduced (Eq. 2). ``False`` is the
            ablation of Table 16; see :meth:`ElasticBackbone.use_alpha`.
        **kwargs: The other arguments of mmpretrain's ``VisionTransformer``.

    Raises:
        ValueError: A width or depth that the intact network cannot hold, or an argument of the
            stock class that :func:`check_vit` refuses.

    Example:
        >>> sizes = {'embed_dims': 64, 'num_layers': 4, 'num_heads': 4, 'feedforward_channels': 256}
        >>> net = ElasticVisionTransformer(sizes, [32, 48, 64], [2, 3, 4], img_size=32).eval()
        >>> len(net.space), net.num_params('w32-d2') < net.num_params()
        (9, True)
        >>> stock = net.extract('w32-d2')  # mmpretrain's own class
        >>> type(stock).__name__
        'VisionTransformer'
        >>> image = torch.randn(1, 3, 32, 32)
        >>> torch.equal(stock(image)[0], net(image, 'w32-d2')[0])
        True
    """

    def __init__(
        self,
        arch: str | Mapping[str, int] = 'base',
        widths: Sequence[int] | None = None,
        depths: Sequence[int] | None = None,
        gamma: float = 3.0,
        out_indices: int | Sequence[int] = -1,
        drop_path_uniform: bool = False,
        with_mask_token: bool = False,
        with_cp: bool = False,
        alpha_scaling: bool = True,
        **kwargs: Any,
    ) -> None:
        check_vit(arch, {**kwargs, 'out_indices': out_indices})
        super().__init__(arch=arch, out_indices=-1, **kwargs)
        self.out_indices = [out_indices] if isinstance(out_indices, int) else list(out_indices)
        self.stock_args = stock_arguments(kwargs)
        make_elastic(
            self,
            {
                PatchEmbed: ElasticPatchEmbed,
                TransformerEncoderLayer: ElasticEncoderLayer,
                MultiheadAttention: ElasticMultiheadAttention,
                LayerScale: ElasticLayerScale,
                mmcv_scale.LayerScale: ElasticLayerScale,
                nn.LayerNorm: ElasticLayerNorm,
                nn.Linear: ElasticLinear,
                nn.Conv2d: ElasticOutputConv2d,
            },
        )
        for layer in self.layers:
            make_elastic(layer.attn.qkv, {ElasticLinear: ElasticQKV})
        if drop_path_uniform:
            set_drop_path(self.layers, kwargs.get('drop_path_rate', 0.0))
        self.use_alpha(alpha_scaling)
        self.with_cp = with_cp
        if with_mask_token:
            self.mask_token = nn.Parameter(torch.zeros(1, 1, self.embed_dims))
        self.check_elastic()
        self.space = self.search_space(
            widths,
            depths,
            gamma,
            intact=Subnet(self.embed_dims, self.num_layers),
            names=VIT_SIZES if self.head_dims == NAMED_HEAD_DIM else None,
        )
        self._block_positions(self.space.intact)  # refuses out_indices that exist nowhere

    def init_as_authors(self) -> None:
        """Initialise as DINOv2: weights and positions truncated normal, class token near zero."""
        super().init_as_authors()
        linear: Any
        for linear in filter(lambda module: isinstance(module, nn.Linear), self.modules()):
            nn.init.trunc_normal_(linear.weight, std=0.02)
            if linear.bias is not None:
                nn.init.zeros_(linear.bias)
        if self.pos_embed is not None:
            nn.init.trunc_normal_(self.pos_embed, std=0.02)
        if self.cls_token is not None:
            nn.init.normal_(self.cls_token, std=1e-6)

    @property
    def blocks(self) -> nn.ModuleList:
        """The residual blocks of the intact network, which are compiled one by one."""
        return self.layers

    @property
    def output_layers(self) -> Iterable[nn.Module]:
        """The norm of averaged patch tokens, where these are the output."""
        return [self.ln2] if self.out_type == 'avg_featmap' else []

    def get_layer_depth(self, param_name: str, prefix: str = '') -> tuple[int, int]:
        """Return a parameter's depth for layer-wise learning rates, and the number of depths."""
        if param_name == f'{prefix}mask_token':  # a token of the stem, unknown to mmpretrain
            param_name = f'{prefix}cls_token'
        return super().get_layer_depth(param_name, prefix)

    def mask_grid(self, height: int, width: int) -> tuple[int, int]:
        """Count the rows and columns of patches of an image of ``height`` × ``width`` pixels."""
        return self.patch_embed.grid(height, width)

    def forward(self, x: Tensor, subnet: Subnet | str | None = None) -> tuple[Tensor, ...]:
        """Run one sub-network.

        Args:
            x: Images, (B, C, H, W).
            subnet: Which one; ``None`` is the intact network.

        Returns:
            What the stock class returns for the same ``out_type`` and ``out_indices``.

        Raises:
            ValueError: Unknown sub-network, or one without a block of ``out_indices``.
        """
        subnet = self.space.resolve(subnet)
        taps = self._block_positions(subnet)
        outs, resolution = self._run_blocks(x, subnet, taps)
        return tuple(self._format_output(out, resolution) for out in outs)

    def tokens(
        self, x: Tensor, subnet: Subnet | str | None = None, masks: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Compute class and patch tokens; see :meth:`ElasticFamily.tokens`."""
        if self.cls_token is None:
            raise ValueError('this supernet has no class token (with_cls_token=False)')
        if masks is not None:
            self.check_masks(masks, x)
        subnet = self.space.resolve(subnet)
        (out,), _ = self._run_blocks(x, subnet, {subnet.num_blocks - 1}, masks)
        return out[:, 0], out[:, self.num_extra_tokens :]

    def subnet_cfg(self, subnet: Subnet | str | None = None, **overrides: Any) -> dict[str, Any]:
        """Return the config of a sub-network as mmpretrain's stock ``VisionTransformer``.

        Args:
            subnet: Which one; ``None`` is the intact network.
            **overrides: Arguments of the stock class to set or replace, such as ``out_indices``,
                ``out_type``, ``drop_path_rate`` or ``img_size``.
        """
        subnet = self.space.resolve(subnet)
        arch = {
            'embed_dims': subnet.width,
            'num_layers': subnet.num_blocks,
            'num_heads': subnet.width // self.head_dims,
            'feedforward_channels': self.share(self.arch_settings['feedforward_channels'], subnet),
        }
        cfg = {
            'type': 'mmpretrain.VisionTransformer',
            'arch': arch,
            'out_indices': list(self.out_indices),
            **self.stock_args,
        }
        if isinstance(cfg.get('layer_cfgs'), list):  # one dict for each block
            blocks = active_blocks(subnet.num_blocks, self.num_layers)
            cfg['layer_cfgs'] = [cfg['layer_cfgs'][block] for block in blocks]
        # Copied, because the stock class counts negative out_indices in the caller's list.
        return {**cfg, **copy.deepcopy(overrides)}

    def kept_blocks(self, subnet: Subnet) -> dict[str, tuple[int, ...]]:
        """Return the blocks that a sub-network keeps, by the name of their list."""
        return {'layers': active_blocks(subnet.num_blocks, self.num_layers)}

    def level_blocks(self, subnet: Subnet) -> tuple[int, ...]:
        """Return evenly spaced blocks; see :meth:`ElasticFamily.level_blocks`."""
        return evenly_spaced(subnet.num_blocks)[:-1]

    def level(self, block: int, out: Tensor) -> Tensor:
        """Normalise the class token of a block's output, (B, D), as that of the last block."""
        return self.ln1(out[:, 0]) if self.final_norm else out[:, 0]

    def fit_state(self, state: dict[str, Tensor], stock: VisionTransformer) -> dict[str, Tensor]:
        """Resize the position embedding to the grid of a stock network.

        Leave out the norm of averaged patch tokens where these are not its output.
        """
        position_embedding = resize_pos_embed(
            state['pos_embed'],
            self.patch_resolution,
            stock.patch_resolution,
            mode=self.interpolate_mode,
            num_extra_tokens=self.num_extra_tokens,
        )
        if stock.out_type != 'avg_featmap':
            state = {name: part for name, part in state.items() if not name.startswith('ln2.')}
        return {**state, 'pos_embed': position_embedding}

    @property
    def arch(self) -> dict[str, Any]:
        """Sizes of the intact network, as the constructor takes them."""
        return self.arch_settings

    @property
    def full_width(self) -> int:
        """Channels of a token in the intact network."""
        return self.embed_dims

    @property
    def feature_width(self) -> int:
        """Channels of a token in the intact network."""
        return self.embed_dims

    @property
    def head_dims(self) -> int:
        """Channels of one attention head, the same in every sub-network."""
        return self.embed_dims // self.arch_settings['num_heads']

    def check_axes(self, widths: Sequence[int], depths: Sequence[int]) -> None:
        """Check that the intact network can hold widths and depths, or raise a ValueError."""
        valid = head_widths(self.arch_settings['num_heads'], self.head_dims)
        wrong = [w for w in widths if w not in valid]
        if wrong:
            raise ValueError(
                f'widths must be multiples of the head dimension {self.head_dims} up to '
                f'{self.embed_dims}, got {wrong}'
            )
        hidden = self.arch_settings['feedforward_channels']
        wrong = [w for w in widths if hidden * w % self.embed_dims]
        if wrong:
            raise ValueError(
                f'feedforward_channels {hidden} of width {self.embed_dims} have no whole share at '
                f'the widths {wrong}'
            )
        wrong = [depth for depth in depths if depth > self.num_layers]
        if wrong:
            raise ValueError(f'depths must be at most {self.num_layers}, got {wrong}')

    def _block_positions(self, subnet: Subnet) -> list[int]:
        """Count ``out_indices`` from the sub-network's first block."""
        positions = [i + subnet.num_blocks if i < 0 else i for i in self.out_indices]
        wrong = [i for i in positions if not 0 <= i < subnet.num_blocks]
        if wrong:
            raise ValueError(
                f'out_indices {self.out_indices} name blocks {wrong} that sub-network {subnet} '
                f'does not have; valid: {-subnet.num_blocks}…{subnet.num_blocks - 1}'
            )
        return positions

    def _run_blocks(
        self,
        x: Tensor,
        subnet: Subnet,
        taps: Collection[int],
        masks: Tensor | None = None,
    ) -> tuple[list[Tensor], tuple[int, int]]:
        """Return the tokens (B, 1 + h·w, D) after the blocks ``taps``, and (h, w)."""
        x, resolution = self._embed(x, subnet.width, masks)
        recompute = self.with_cp and self.training and torch.is_grad_enabled()
        outs = []
        for position, block in enumerate(active_blocks(subnet.num_blocks, self.num_layers)):
            layer = self.layers[block]
            x = checkpoint(layer, x, use_reentrant=False) if recompute else layer(x)
            if position == subnet.num_blocks - 1 and self.final_norm:
                x = self.ln1(x)
            if position in taps:
                outs.append(x)
        return outs, resolution

    def _embed(self, x: Tensor, width: int, masks: Tensor | None) -> tuple[Tensor, tuple[int, int]]:
        """Embed patches, replace masked ones, add class token and position embedding."""
        x, resolution = self.patch_embed(x, width)
        if masks is not None:
            token = self.mask_token[..., :width].to(x.dtype)
            x = torch.where(masks.to(x.device)[..., None], token, x)
        if self.cls_token is not None:
            x = torch.cat((self.cls_token[..., :width].expand(len(x), -1, -1), x), dim=1)
        x = x + resize_pos_embed(
            self.pos_embed[..., :width],
            self.patch_resolution,
            resolution,
            mode=self.interpolate_mode,
            num_extra_tokens=self.num_extra_tokens,
        )
        return self.pre_norm(self.drop_after_pos(x)), resolution
