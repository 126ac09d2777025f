"""Elastic ResNet (paper App. A)."""

import copy
import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmpretrain.models.backbones import ResNet
from mmpretrain.models.backbones.resnet import Bottleneck
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from poa_mm.elastic import (
    AXES,
    ElasticConv2d,
    ElasticGroupNorm,
    ElasticInputConv2d,
    ElasticOutputConv2d,
    Subnet,
    active_blocks,
)
from poa_mm.models.backbones.bottleneck_resnet import BottleneckResNet, MidWidthBottleneck
from poa_mm.models.backbones.elastic_backbone import ElasticBackbone, stock_arguments
from poa_mm.models.backbones.feature_maps import check_stages, finer_tokens, upsampled_mask
from poa_mm.models.backbones.levels import stage_ends
from poa_mm.models.backbones.resnet_options import check_resnet
from poa_mm.registry import ELASTIC_BACKBONES, MODELS

RESNET_SIZES = {
    'resnet-50': Subnet(64, (3, 4, 6, 3)),
    'resnet-101': Subnet(64, (3, 4, 23, 3)),
    'resnet-152': Subnet(64, (3, 8, 36, 3)),
}
# Numbers of bottlenecks for which mmpretrain's ResNet has a depth.
STOCK_DEPTHS = {
    blocks: depth for depth, (block, blocks) in ResNet.arch_settings.items() if block is Bottleneck
}
PAPER_ARCH = {'stage_blocks': (3, 8, 36, 3), 'mid_channels': 128, 'out_channels': 256}
GROUP_NORM = {'type': 'GN', 'num_groups': 32}
STEM_STRIDE = 4  # of the first convolution and the pooling


class ElasticBottleneck(MidWidthBottleneck):
    """A bottleneck whose middle width is an argument; its output keeps its width.

    Its convolutions are those of Eq. 12.
    """

    def forward(self, x: Tensor, mid: int) -> Tensor:
        """Run (B, C, H, W) through ``mid`` channels."""
        out = self.relu(self.norm1(self.conv1(x, mid)))
        out = self.relu(self.norm2(self.conv2(out)))
        out = self.norm3(self.conv3(out))
        identity = x if self.downsample is None else self.downsample(x)
        return self.relu(self.drop_path(out) + identity)


@MODELS.register_module()
@ELASTIC_BACKBONES.register_module()
class ElasticResNet(ElasticBackbone, BottleneckResNet):
    """A ResNet that also runs as any of its sub-networks.

    Parameter names, initialisation and, for ``subnet=None``, outputs are those of mmpretrain's
    ``ResNet``. Elastic are the middle channels of all bottlenecks and the number of blocks of each
    stage; blocks keep their output width. A sub-network's width is the middle width of the first
    stage, its depth the number of blocks of each stage, such as ``(3, 4, 6, 3)``.

    Sub-networks with the blocks of a ResNet-50, -101 or -152 and a middle width that divides a
    block's output are extracted as mmpretrain's ``ResNet``, which cannot express the others: they
    become a :class:`~poa_mm.models.backbones.BottleneckResNet` with the same parameter names.

    Normalisation is GroupNorm, since statistics of a BatchNorm cannot be shared by all widths.

    Args:
        arch: The intact network: ``stage_blocks``, ``mid_channels`` and ``out_channels`` of
            :class:`~poa_mm.models.backbones.BottleneckResNet`. Defaults to the paper's, a
            ResNet-152 with a middle width of 128.
        widths: Elastic middle widths of the first stage; multiples of the number of groups.
            Defaults to the intact width alone.
        depths: Elastic numbers of blocks, one tuple for each combination of all stages. Defaults to
            the intact one alone.
        gamma: γ of the sampling weights (Eq. 14).
        weighted: What γ weights; ``('depth',)`` in the authors' code.
        out_indices: Stages to output.
        with_mask_token: Have a token that stands in for masked patches. It belongs to pre-training
            and is not extracted.
        with_cp: Recompute each block in the backward pass instead of keeping its activations.
        norm_cfg: GroupNorm and its number of groups.
        alpha_scaling: Scale weights by α where their input is reduced (Eq. 12). ``False`` is the
            ablation of Table 16; see :meth:`ElasticBackbone.use_alpha`.
        **kwargs: The other arguments of mmpretrain's ``ResNet``.

    Raises:
        ValueError: A width or depth that the intact network cannot hold, or a setting that has no
            elastic form.
    """

    def __init__(
        self,
        arch: Mapping[str, Any] = PAPER_ARCH,
        widths: Sequence[int] | None = None,
        depths: Sequence[tuple[int, ...]] | None = None,
        gamma: float = 2.0,
        weighted: Sequence[str] = AXES,
        out_indices: Sequence[int] = (3,),
        with_mask_token: bool = False,
        with_cp: bool = False,
        norm_cfg: Mapping[str, Any] = GROUP_NORM,
        alpha_scaling: bool = True,
        **kwargs: Any,
    ) -> None:
        unknown = sorted(set(arch) - set(PAPER_ARCH))
        if unknown:
            raise ValueError(f'arch takes {tuple(PAPER_ARCH)}, got {unknown}')
        self._arch = {**PAPER_ARCH, **arch}
        check_resnet(self._arch, {**kwargs, 'norm_cfg': norm_cfg, 'out_indices': out_indices})
        norm_cfg = dict(norm_cfg)
        super().__init__(**self._arch, out_indices=tuple(out_indices), norm_cfg=norm_cfg, **kwargs)
        self.stock_args = stock_arguments({**kwargs, 'norm_cfg': norm_cfg})
        for block in self.blocks:
            _make_elastic(block)
        self.use_alpha(alpha_scaling)
        self.with_cp = with_cp
        if with_mask_token:
            if math.prod(self.strides) % 2:
                raise ValueError(
                    'masks need a last map that is smaller than the stem by an even number, '
                    f'got strides {tuple(self.strides)}'
                )
            self.mask_token = nn.Parameter(torch.zeros(1, self.stem_channels, 1, 1))
        intact = Subnet(self.full_width, tuple(self.stage_blocks))
        self.space = self.search_space(widths, depths, gamma, intact, RESNET_SIZES, weighted)

    @property
    def arch(self) -> dict[str, Any]:
        """Sizes of the intact network, as the constructor takes them."""
        return self._arch

    @property
    def full_width(self) -> int:
        """Middle channels of the first stage in the intact network."""
        return self.mid_channels

    @property
    def feature_width(self) -> int:
        """Channels of the last stage, in every sub-network."""
        return self.feat_dim

    @property
    def config(self) -> dict[str, Any]:
        """The config that builds this supernet again."""
        return {**super().config, 'weighted': list(self.space.weighted)}

    @property
    def blocks(self) -> list[nn.Module]:
        """The residual blocks of the intact network, which are compiled one by one."""
        return [block for name in self.res_layers for block in getattr(self, name)]

    def get_layer_depth(self, param_name: str, prefix: str = '') -> tuple[int, int]:
        """Return a parameter's depth for layer-wise learning rates, and the number of depths.

        Each block is one depth, and the last one trains at the full rate, as in the authors' code.
        """
        number = sum(self.stage_blocks) + 1
        if not param_name.startswith(prefix):
            return number - 1, number
        name = param_name.removeprefix(prefix)
        if not name.startswith('layer'):
            return 0, number
        stage, block = name.removeprefix('layer').split('.')[:2]
        return sum(self.stage_blocks[: int(stage) - 1]) + int(block) + 1, number

    def mask_grid(self, height: int, width: int) -> tuple[int, int]:
        """Count the patches: rows and columns of the last stage's map at twice its resolution.

        Patches beyond the image do not count: there are fewer than twice the map's own where the
        image's sides are no multiple of the last stage's stride.
        """
        side = STEM_STRIDE * math.prod(self.strides) // 2
        return -(-height // side), -(-width // side)

    def forward(self, x: Tensor, subnet: Subnet | str | None = None) -> tuple[Tensor, ...]:
        """Run one sub-network.

        Args:
            x: Images, (B, C, H, W).
            subnet: Which one; ``None`` is the intact network.

        Returns:
            Maps (B, D, h, w) of the stages ``out_indices``.

        Raises:
            ValueError: Unknown sub-network.
        """
        outs = self._run_stages(x, self.space.resolve(subnet))
        return tuple(out for stage, out in enumerate(outs) if stage in self.out_indices)

    def tokens(
        self, x: Tensor, subnet: Subnet | str | None = None, masks: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Compute class and patch tokens; see :meth:`ElasticFamily.tokens`."""
        if masks is not None:
            self.check_masks(masks, x)
        out = self._run_stages(x, self.space.resolve(subnet), masks)[-1]
        size = (out.shape[2], out.shape[3])
        out = out.flatten(2).transpose(1, 2)
        return out.mean(dim=1), finer_tokens(out, size, self.mask_grid(*x.shape[-2:]))

    def subnet_cfg(self, subnet: Subnet | str | None = None, **overrides: Any) -> dict[str, Any]:
        """Return the config of a sub-network as mmpretrain's ``ResNet``, or ``BottleneckResNet``.

        Args:
            subnet: Which one; ``None`` is the intact network.
            **overrides: Arguments of the stock class to set or replace, such as ``out_indices``,
                ``frozen_stages`` or ``norm_eval``.

        Raises:
            ValueError: Unknown sub-network or stages.
        """
        subnet = self.space.resolve(subnet)
        check_stages(overrides.get('out_indices', self.out_indices), self.num_stages)
        return {
            **self._stock_class(subnet),
            'out_indices': list(self.out_indices),
            **self.stock_args,
            **copy.deepcopy(overrides),
        }

    def _stock_class(self, subnet: Subnet) -> dict[str, Any]:
        """Return the class that a sub-network is extracted as, and its sizes."""
        depth = STOCK_DEPTHS.get(subnet.stage_depths)
        out_channels = self._arch['out_channels']
        if depth is None or out_channels % subnet.width:
            return {
                'type': 'mmpretrain.BottleneckResNet',
                'stage_blocks': list(subnet.stage_depths),
                'mid_channels': subnet.width,
                'out_channels': out_channels,
            }
        return {
            'type': 'mmpretrain.ResNet',
            'depth': depth,
            'base_channels': subnet.width,
            'expansion': out_channels // subnet.width,
        }

    def _active(self, subnet: Subnet) -> list[tuple[int, ...]]:
        """Return the blocks of each stage that a sub-network keeps."""
        pairs = zip(subnet.stage_depths, self.stage_blocks, strict=True)
        return [active_blocks(depth, blocks) for depth, blocks in pairs]

    def kept_blocks(self, subnet: Subnet) -> dict[str, tuple[int, ...]]:
        """Return the blocks that a sub-network keeps, by the name of their list."""
        return dict(zip(self.res_layers, self._active(subnet), strict=True))

    def level_blocks(self, subnet: Subnet) -> tuple[int, ...]:
        """Return the last block of each stage; see :meth:`ElasticFamily.level_blocks`."""
        return stage_ends(subnet.stage_depths)[:-1]

    def level(self, block: int, out: Tensor) -> Tensor:
        """Average a stage's map, (B, D, h, w) to (B, D)."""
        return out.flatten(2).mean(dim=2)

    def check_axes(self, widths: Sequence[int], depths: Sequence[Any]) -> None:
        """Check that the intact network can hold widths and depths, or raise a ValueError."""
        groups = self.norm_cfg['num_groups']
        wrong = [w for w in widths if w % groups or w > self.full_width]
        if wrong:
            raise ValueError(
                f'widths must be multiples of the {groups} groups of the norm up to '
                f'{self.full_width}, got {wrong}'
            )
        stages = tuple(self.stage_blocks)
        wrong = [
            depth
            for depth in depths
            if len(depth) != len(stages)
            or any(blocks > most for blocks, most in zip(depth, stages, strict=True))
        ]
        if wrong:
            raise ValueError(f'depths must have at most the blocks {stages}, got {wrong}')

    def _run_stages(self, x: Tensor, subnet: Subnet, masks: Tensor | None = None) -> list[Tensor]:
        """Return the output (B, D, h, w) of each stage."""
        grid = self.mask_grid(*x.shape[-2:])
        x = self.maxpool(self.relu(self.norm1(self.conv1(x))))
        if masks is not None:
            size = (x.shape[2], x.shape[3])
            step = math.prod(self.strides) // 2
            hidden = upsampled_mask(masks.to(x.device), grid, size, step)
            x = torch.where(hidden[:, None], self.mask_token.to(x.dtype), x)
        recompute = self.with_cp and self.training and torch.is_grad_enabled()
        outs = []
        for name, kept in self.kept_blocks(subnet).items():
            for index in kept:
                block = getattr(self, name)[index]
                arguments = (x, self.share(block.mid_channels, subnet))
                x = (
                    checkpoint(block, *arguments, use_reentrant=False)
                    if recompute
                    else block(*arguments)
                )
            outs.append(x)
        return outs


def _make_elastic(block: Any) -> None:
    """Turn a bottleneck and the layers that its middle width touches into elastic ones."""
    block.__class__ = ElasticBottleneck
    block.conv1.__class__ = ElasticOutputConv2d
    block.conv2.__class__ = ElasticConv2d
    block.conv3.__class__ = ElasticInputConv2d
    block.norm1.__class__ = block.norm2.__class__ = ElasticGroupNorm
