"""Elastic Swin Transformer (paper App. A)."""

import copy
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmcv.cnn.bricks.transformer import PatchEmbed
from mmpretrain.models.backbones import SwinTransformer
from mmpretrain.models.backbones.swin_transformer import SwinBlock
from mmpretrain.models.utils import PatchMerging, ShiftWindowMSA, WindowMSA
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from poa_mm.elastic import (
    ElasticLayerNorm,
    ElasticLinear,
    ElasticOutputConv2d,
    ElasticQKV,
    Subnet,
    active_blocks,
    head_widths,
    make_elastic,
)
from poa_mm.models.backbones.elastic_backbone import ElasticBackbone, stock_arguments
from poa_mm.models.backbones.feature_maps import check_stages, finer_tokens, upsampled_mask
from poa_mm.models.backbones.levels import stage_ends
from poa_mm.models.backbones.swin_layers import (
    ELASTIC_STAGE,
    ElasticPatchMerging,
    ElasticShiftWindowMSA,
    ElasticSwinBlock,
    ElasticWindowMSA,
    check_swin,
    fit_swin,
    shift_arguments,
)
from poa_mm.models.backbones.vit_layers import ElasticPatchEmbed
from poa_mm.registry import ELASTIC_BACKBONES, MODELS

SWIN_SIZES = {'swin-t': Subnet(96, 12), 'swin-s': Subnet(96, 24), 'swin-b': Subnet(128, 24)}


@MODELS.register_module()
@ELASTIC_BACKBONES.register_module()
class ElasticSwinTransformer(ElasticBackbone, SwinTransformer):
    """A Swin Transformer that also runs as any of its sub-networks.

    Parameter names, initialisation and, for ``subnet=None``, outputs are those of mmpretrain's
    ``SwinTransformer``, and every sub-network can be extracted as one. A sub-network's width is
    that of its first stage; its depth counts the blocks of all stages, of which the third one is
    elastic.

    Two things are defined so that a stock network can express what was trained: the patch embedding
    is sliced, then normalised; and a block shifts its windows where its position in the sub-network
    is odd. The authors' code normalises all channels of the patch embedding, then slices them; and
    a block shifts where its position in the intact network is odd. ``official`` defines both as
    theirs, for converted checkpoints. Then all sub-networks run, but only those of the intact width
    can be extracted: a narrower network lacks the channels that its patch embedding is normalised
    with. Shifts that do not alternate become ``stage_cfgs`` of the stock class.

    Args:
        arch: The intact network: a name or a dict, as mmpretrain's ``SwinTransformer`` takes.
        widths: Elastic widths of the first stage; multiples of the head dimension. Defaults to the
            intact width alone.
        depths: Elastic depths, over all stages. Defaults to the intact depth alone.
        gamma: γ of the sampling weights (Eq. 14).
        out_indices: Stages to output; the last one is among them.
        with_mask_token: Have a token that stands in for masked patches. It belongs to pre-training
            and is not extracted.
        official: Define patch embedding, window shifts and depths of learning rates as the authors'
            code does.
        with_cp: Recompute each block in the backward pass instead of keeping its activations.
        alpha_scaling: Scale weights by α where their input is reduced (Eq. 2). ``False`` is the
            ablation of Table 16; see :meth:`ElasticBackbone.use_alpha`.
        **kwargs: The other arguments of mmpretrain's ``SwinTransformer``. Crops of 96 pixels need
            ``pad_small_map=True``.

    Raises:
        ValueError: A width or depth that the intact network cannot hold, or a setting that has no
            elastic form.
    """

    def __init__(
        self,
        arch: str | Mapping[str, Any] = 'base',
        widths: Sequence[int] | None = None,
        depths: Sequence[int] | None = None,
        gamma: float = 2.0,
        out_indices: Sequence[int] = (3,),
        with_mask_token: bool = False,
        official: bool = False,
        with_cp: bool = False,
        alpha_scaling: bool = True,
        **kwargs: Any,
    ) -> None:
        check_swin(arch, {**kwargs, 'out_indices': out_indices})
        super().__init__(arch=arch, out_indices=tuple(out_indices), **kwargs)
        self.official = official
        self.stock_args = stock_arguments(kwargs)
        make_elastic(
            self,
            {
                PatchEmbed: ElasticPatchEmbed,
                PatchMerging: ElasticPatchMerging,
                SwinBlock: ElasticSwinBlock,
                ShiftWindowMSA: ElasticShiftWindowMSA,
                WindowMSA: ElasticWindowMSA,
                nn.LayerNorm: ElasticLayerNorm,
                nn.Linear: ElasticLinear,
                nn.Conv2d: ElasticOutputConv2d,
            },
        )
        for block in self.blocks:
            make_elastic(block.attn.w_msa.qkv, {ElasticLinear: ElasticQKV})
        self.use_alpha(alpha_scaling)
        self.with_cp = with_cp
        if with_mask_token:
            self.mask_token = nn.Parameter(torch.zeros(1, 1, self.embed_dims))
        self.check_elastic()
        intact = Subnet(self.embed_dims, sum(self.depths))
        self.space = self.search_space(widths, depths, gamma, intact, SWIN_SIZES)

    @property
    def arch(self) -> dict[str, Any]:
        """Sizes of the intact network, as the constructor takes them."""
        return self.arch_settings

    @property
    def full_width(self) -> int:
        """Channels of the first stage in the intact network."""
        return self.embed_dims

    @property
    def feature_width(self) -> int:
        """Channels of the last stage in the intact network."""
        return self.num_features[-1]

    @property
    def config(self) -> dict[str, Any]:
        """The config that builds this supernet again."""
        return {**super().config, 'official': self.official}

    @property
    def blocks(self) -> list[ElasticSwinBlock]:
        """The residual blocks of the intact network, which are compiled one by one."""
        return [block for stage in self.stages for block in stage.blocks]

    @property
    def output_layers(self) -> Iterable[nn.Module]:
        """The norms of all outputs but the last one, which is that of the final features."""
        return [getattr(self, f'norm{i}') for i in self.out_indices if i != self.num_layers - 1]

    def get_layer_depth(self, param_name: str, prefix: str = '') -> tuple[int, int]:
        """Return a parameter's depth for layer-wise learning rates, and the number of depths.

        A patch merging is as deep as the block before it, as in mmpretrain; with ``official`` as
        the block after it.
        """
        if param_name == f'{prefix}mask_token':  # a token of the stem, unknown to mmpretrain
            param_name = f'{prefix}patch_embed.mask_token'
        depth, num_depths = super().get_layer_depth(param_name, prefix)
        merging = param_name.startswith(prefix) and '.downsample.' in param_name
        return depth + (self.official and merging), num_depths

    def mask_grid(self, height: int, width: int) -> tuple[int, int]:
        """Count the patches: rows and columns of the last stage's map at twice its resolution.

        Patches beyond the image do not count: there are fewer than twice the map's own where the
        image's sides are no multiple of the last stage's stride.
        """
        tall, wide = self.patch_embed.projection.kernel_size
        return -(-height // (tall * self.mask_step)), -(-width // (wide * self.mask_step))

    @property
    def mask_step(self) -> int:
        """Places of the patch embedding's map that a patch spans in each direction."""
        return 2 ** (self.num_layers - 1) // 2

    def forward(self, x: Tensor, subnet: Subnet | str | None = None) -> tuple[Tensor, ...]:
        """Run one sub-network.

        Args:
            x: Images, (B, C, H, W).
            subnet: Which one; ``None`` is the intact network.

        Returns:
            Normalised maps (B, D, h, w) of the stages ``out_indices``.

        Raises:
            ValueError: Unknown sub-network.
        """
        stages = self._run_stages(x, self.space.resolve(subnet))
        return tuple(
            getattr(self, f'norm{index}')(out).unflatten(1, size).permute(0, 3, 1, 2).contiguous()
            for index, (out, size) in enumerate(stages)
            if index in self.out_indices
        )

    def tokens(
        self, x: Tensor, subnet: Subnet | str | None = None, masks: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Compute class and patch tokens; see :meth:`ElasticFamily.tokens`."""
        if masks is not None:
            self.check_masks(masks, x)
        out, size = self._run_stages(x, self.space.resolve(subnet), masks)[-1]
        out = getattr(self, f'norm{self.num_layers - 1}')(out)
        return out.mean(dim=1), finer_tokens(out, size, self.mask_grid(*x.shape[-2:]))

    def subnet_cfg(self, subnet: Subnet | str | None = None, **overrides: Any) -> dict[str, Any]:
        """Return the config of a sub-network as mmpretrain's stock ``SwinTransformer``.

        Args:
            subnet: Which one; ``None`` is the intact network.
            **overrides: Arguments of the stock class to set or replace, such as ``out_indices``,
                ``drop_path_rate`` or ``img_size``.

        Raises:
            ValueError: Unknown sub-network or stages, or with ``official`` a sub-network that is
                narrower than the intact network.
        """
        subnet = self._check_stock(subnet)
        check_stages(overrides.get('out_indices', self.out_indices), self.num_layers)
        stages = self._active(subnet)
        arch = {
            'embed_dims': subnet.width,
            'depths': [len(blocks) for blocks in stages],
            'num_heads': [self.share(heads, subnet) for heads in self.num_heads],
        }
        return {
            'type': 'mmpretrain.SwinTransformer',
            'arch': arch,
            'out_indices': list(self.out_indices),
            'drop_path_rate': 0.0,  # mmpretrain's default is 0.1
            **self.stock_args,
            **shift_arguments([self._shifts(blocks) for blocks in stages]),
            **copy.deepcopy(overrides),
        }

    def subnet_state_dict(self, subnet: Subnet | str | None = None) -> dict[str, Tensor]:
        """Slice the weights of a sub-network, under the names of the stock class."""
        return super().subnet_state_dict(self._check_stock(subnet))

    def fit_state(self, state: dict[str, Tensor], stock: SwinTransformer) -> dict[str, Tensor]:
        """Give a stock network the norms of its own outputs, and resize biases to its windows.

        Norms of stages whose maps the supernet does not give, which pre-training therefore has not
        trained, stay as they are initialised.
        """
        return fit_swin(state, stock.state_dict())

    def _check_stock(self, subnet: Subnet | str | None) -> Subnet:
        """Check that a stock network can compute what a sub-network does, and return the latter."""
        subnet = self.space.resolve(subnet)
        if self.official and subnet.width < self.full_width:
            raise ValueError(
                f'{subnet} cannot be extracted from this supernet (official=True): it normalises '
                f'the patch embedding over all {self.full_width} channels, then keeps '
                f'{subnet.width}, and a stock SwinTransformer of that width lacks the others; '
                f'only sub-networks of width {self.full_width} can be extracted'
            )
        return subnet

    def _active(self, subnet: Subnet) -> list[tuple[int, ...]]:
        """Return the blocks of each stage that a sub-network keeps: all but in the third one."""
        others = sum(self.depths) - self.depths[ELASTIC_STAGE]
        kept = [tuple(range(depth)) for depth in self.depths]
        kept[ELASTIC_STAGE] = active_blocks(subnet.num_blocks - others, self.depths[ELASTIC_STAGE])
        return kept

    def _shifts(self, blocks: Sequence[int]) -> list[bool]:
        """Tell which of the blocks that a stage keeps shift their windows."""
        numbers = blocks if self.official else range(len(blocks))
        return [number % 2 == 1 for number in numbers]

    def kept_blocks(self, subnet: Subnet) -> dict[str, tuple[int, ...]]:
        """Return the blocks that a sub-network keeps, by the name of their list."""
        return {f'stages.{ELASTIC_STAGE}.blocks': self._active(subnet)[ELASTIC_STAGE]}

    def level_blocks(self, subnet: Subnet) -> tuple[int, ...]:
        """Return the last block of each stage; see :meth:`ElasticFamily.level_blocks`."""
        return stage_ends([len(kept) for kept in self._active(subnet)])[:-1]

    def level(self, block: int, out: Tensor) -> Tensor:
        """Average the normalised output of a stage, (B, h·w, D) to (B, D).

        The norm is that of the stage's output. Where the supernet has none, it is one that has not
        been trained, as in an extracted network.
        """
        stage = bisect_left(stage_ends(self.depths), block)
        norm = getattr(self, f'norm{stage}', None)
        if norm is None:
            last = getattr(self, f'norm{self.num_layers - 1}')
            return F.layer_norm(out, out.shape[-1:], eps=last.eps).mean(dim=1)
        return norm(out).mean(dim=1)

    def check_axes(self, widths: Sequence[int], depths: Sequence[int]) -> None:
        """Check that the intact network can hold widths and depths, or raise a ValueError."""
        head_dims = self.embed_dims // self.num_heads[0]
        wrong = [w for w in widths if w not in head_widths(self.num_heads[0], head_dims)]
        if wrong:
            raise ValueError(
                f'widths must be multiples of the head dimension {head_dims} up to '
                f'{self.embed_dims}, got {wrong}'
            )
        wrong = [w for w in widths if any(heads * w % self.embed_dims for heads in self.num_heads)]
        if wrong:
            raise ValueError(
                f'num_heads {self.num_heads} of width {self.embed_dims} have no whole share at the '
                f'widths {wrong}'
            )
        largest = sum(self.depths)
        smallest = largest - self.depths[ELASTIC_STAGE] + 1
        wrong = [depth for depth in depths if not smallest <= depth <= largest]
        if wrong:
            raise ValueError(f'depths must be within {smallest}…{largest}, got {wrong}')

    def _run_stages(
        self, x: Tensor, subnet: Subnet, masks: Tensor | None = None
    ) -> list[tuple[Tensor, tuple[int, int]]]:
        """Return the output (B, h·w, D) of each stage before norm and merging, and (h, w)."""
        grid = self.mask_grid(*x.shape[-2:])
        x, size = self.patch_embed(x, self.full_width if self.official else subnet.width)
        x = x[..., : subnet.width]
        if masks is not None:
            token = self.mask_token[..., : subnet.width].to(x.dtype)
            hidden = upsampled_mask(masks.to(x.device), grid, size, self.mask_step)
            x = torch.where(hidden.flatten(1)[..., None], token, x)
        x = self.drop_after_pos(x)
        recompute = self.with_cp and self.training and torch.is_grad_enabled()
        outs = []
        for stage, kept in zip(self.stages, self._active(subnet), strict=True):
            for block, shift in zip(kept, self._shifts(kept), strict=True):
                arguments = (x, size, shift)
                layer = stage.blocks[block]
                x = (
                    checkpoint(layer, *arguments, use_reentrant=False)
                    if recompute
                    else layer(*arguments)
                )
            outs.append((x, size))
            if stage.downsample is not None:
                x, size = stage.downsample(x, size)
        return outs
