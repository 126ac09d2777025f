"""Elastic MLP-Mixer: a family of its own, outside poa_mm, over mmpretrain's stock ``MlpMixer``."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmcv.cnn.bricks.transformer import PatchEmbed
from mmpretrain.models.backbones import MlpMixer
from mmpretrain.models.backbones.mlp_mixer import MixerBlock
from torch import Tensor, nn

from poa_mm.elastic import (
    ElasticInputLinear,
    ElasticLayerNorm,
    ElasticLinear,
    ElasticOutputConv2d,
    Subnet,
    active_blocks,
    make_elastic,
)
from poa_mm.models.backbones import ElasticBackbone, ElasticPatchEmbed, stock_arguments
from poa_mm.registry import ELASTIC_BACKBONES, MODELS

# All three are sub-networks of Mixer-L: their hidden layers are the same shares of the width.
MIXER_SIZES = {
    f'mixer-{size}': Subnet(arch['embed_dims'], arch['num_layers'])
    for size, arch in MlpMixer.arch_zoo.items()
    if size in ('s', 'b', 'l')
}
FIXED = ('layer_cfgs', 'patch_cfg')  # could give blocks and patches other shapes


class ElasticOutputLinear(nn.Linear):
    """Linear layer elastic in its output alone."""

    @property
    def full_width(self) -> int:
        """Outputs of the intact layer."""
        return self.out_features

    def sliced(self, width: int) -> dict[str, Tensor]:
        """The first ``width`` outputs. The input is not reduced, so there is no α."""
        return {'weight': self.weight[:width], 'bias': self.bias[:width]}

    def forward(self, x: Tensor, width: int | None = None) -> Tensor:
        """Map (…, in_features) to (…, width), to all outputs by default."""
        return nn.functional.linear(x, **self.sliced(width or self.out_features))


class ElasticMixerBlock(MixerBlock):
    """mmpretrain's block; both of its hidden layers keep their share of the width."""

    def forward(self, x: Tensor) -> Tensor:
        """Mix the tokens, then the channels of (B, N, width)."""
        mlp = self.token_mix
        (first, activation, dropout), second, last_dropout = mlp.layers
        hidden = mlp.feedforward_channels * x.shape[-1] // self.channel_mix.embed_dims
        tokens = first(self.norm1(x).transpose(1, 2), hidden)
        tokens = last_dropout(second(dropout(activation(tokens))))
        x = x + mlp.dropout_layer(tokens).transpose(1, 2)
        return self.channel_mix(self.norm2(x), identity=x)


@MODELS.register_module()
@ELASTIC_BACKBONES.register_module()
class ElasticMlpMixer(ElasticBackbone, MlpMixer):
    """An MLP-Mixer that also runs as any of its sub-networks.

    Parameter names, initialisation and, for ``subnet=None``, outputs are those of mmpretrain's
    ``MlpMixer``, and every sub-network can be extracted as one. Its token-mixing layers are made
    for one number of patches, so all images, the local crops included, are of one size.

    Args:
        arch: The intact network: a name or a dict, as mmpretrain's ``MlpMixer`` takes.
        widths: Elastic widths, of which both hidden layers have a whole share. Defaults to the
            intact width alone.
        depths: Elastic numbers of blocks. Defaults to the intact one alone.
        gamma: γ of the sampling weights (Eq. 14).
        out_indices: Blocks to output, as negative numbers from a sub-network's end: the only ones
            that the stock class takes.
        with_mask_token: Have a token that stands in for masked patches. It belongs to pre-training
            and is not extracted.
        **kwargs: The other arguments of mmpretrain's ``MlpMixer``.

    Raises:
        ValueError: A width or depth that the intact network cannot hold, or a setting that has no
            elastic form.
    """

    def __init__(
        self,
        arch: str | Mapping[str, int] = 'base',
        widths: Sequence[int] | None = None,
        depths: Sequence[int] | None = None,
        gamma: float = 3.0,
        out_indices: Sequence[int] = (-1,),
        with_mask_token: bool = False,
        **kwargs: Any,
    ) -> None:
        fixed = [name for name in FIXED if kwargs.get(name)]
        if fixed:
            raise ValueError(f'{", ".join(fixed)} cannot be set in an elastic MLP-Mixer')
        super().__init__(arch=arch, **kwargs)
        self.out_indices = sorted(set(out_indices))
        self.stock_args = stock_arguments(kwargs)
        make_elastic(
            self,
            {
                PatchEmbed: ElasticPatchEmbed,
                MixerBlock: ElasticMixerBlock,
                nn.LayerNorm: ElasticLayerNorm,
                nn.Linear: ElasticLinear,
                nn.Conv2d: ElasticOutputConv2d,
            },
        )
        for block in self.layers:
            make_elastic(block.token_mix.layers[0], {nn.Linear: ElasticOutputLinear})
            make_elastic(block.token_mix.layers[1], {nn.Linear: ElasticInputLinear})
        if with_mask_token:
            self.mask_token = nn.Parameter(torch.zeros(1, 1, self.embed_dims))
        self.check_elastic()
        intact = Subnet(self.embed_dims, self.num_layers)
        names = MIXER_SIZES if self.arch_settings in self.arch_zoo.values() else None
        self.space = self.search_space(widths, depths, gamma, intact, names)

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
    def blocks(self) -> nn.ModuleList:
        """The residual blocks of the intact network, as they may be compiled one by one."""
        return self.layers

    def get_layer_depth(self, param_name: str, prefix: str = '') -> tuple[int, int]:
        """Depth of a parameter for layer-wise learning rates, and the number of depths."""
        number = self.num_layers + 2  # before, in and behind the blocks
        name = param_name.removeprefix(prefix)
        if not param_name.startswith(prefix) or name.startswith(f'{self.norm1_name}.'):
            return number - 1, number
        return (int(name.split('.')[1]) + 1 if name.startswith('layers.') else 0), number

    def mask_grid(self, height: int, width: int) -> tuple[int, int]:
        """Rows and columns of the patches of an image of ``height`` × ``width`` pixels."""
        self._check_size(height, width)
        return self.patch_resolution

    def forward(self, x: Tensor, subnet: Subnet | str | None = None) -> tuple[Tensor, ...]:
        """Run one sub-network.

        Args:
            x: Images, (B, C, H, W).
            subnet: Which one; ``None`` is the intact network.

        Returns:
            Tokens (B, D, h·w) after the blocks ``out_indices``; the last ones are normalised.

        Raises:
            ValueError: Unknown sub-network, or images of another size than ``img_size``.
        """
        outs = self._run_blocks(x, self.space.resolve(subnet))
        return tuple(outs[index].transpose(1, 2) for index in self.out_indices)

    def tokens(
        self, x: Tensor, subnet: Subnet | str | None = None, masks: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Final features of one sub-network.

        Args:
            x: Images, (B, C, H, W).
            subnet: Which one; ``None`` is the intact network.
            masks: Patches to hide behind the mask token, (B, h·w) bool.

        Returns:
            Mean of the tokens (B, D), which serves as class token, and the tokens (B, h·w, D). Both
            after the final norm.

        Raises:
            ValueError: Unknown sub-network, images of another size than ``img_size``, or masks that
                do not fit or for which there is no mask token.
        """
        if masks is not None:
            self.check_masks(masks, x)
        out = self._run_blocks(x, self.space.resolve(subnet), masks)[-1]
        return out.mean(dim=1), out

    def subnet_cfg(self, subnet: Subnet | str | None = None, **overrides: Any) -> dict[str, Any]:
        """Config of a sub-network as mmpretrain's stock ``MlpMixer``.

        Args:
            subnet: Which one; ``None`` is the intact network.
            **overrides: Arguments of the stock class to set or replace, such as ``out_indices`` or
                ``drop_path_rate``.
        """
        subnet = self.space.resolve(subnet)
        sizes = {key: self.arch_settings[key] for key in ('tokens_mlp_dims', 'channels_mlp_dims')}
        arch = {
            'embed_dims': subnet.width,
            'num_layers': subnet.num_blocks,
            **{key: self.share(size, subnet) for key, size in sizes.items()},
        }
        cfg = {
            'type': 'mmpretrain.MlpMixer',
            'arch': arch,
            'out_indices': list(self.out_indices),
            **self.stock_args,
            'img_size': self.img_size,
            **copy.deepcopy(overrides),  # the stock class writes into the list of out_indices
        }
        if not isinstance(cfg['img_size'], int):
            cfg['img_size'] = tuple(cfg['img_size'])  # it refuses all images for a list
        return cfg

    def kept_blocks(self, subnet: Subnet) -> dict[str, tuple[int, ...]]:
        """Blocks that a sub-network keeps, by the name of the list that they are in."""
        return {'layers': active_blocks(subnet.num_blocks, self.num_layers)}

    def fit_state(self, state: dict[str, Tensor], stock: MlpMixer) -> dict[str, Tensor]:
        """Refuse a stock network for another image size."""
        self._check_size(*stock.img_size)
        return state

    def check_axes(self, widths: Sequence[int], depths: Sequence[int]) -> None:
        """Raise a ValueError for widths and depths that the intact network cannot hold."""
        hidden = (self.tokens_mlp_dims, self.channels_mlp_dims)
        wrong = [
            width
            for width in widths
            if width > self.embed_dims or any(size * width % self.embed_dims for size in hidden)
        ]
        if wrong:
            raise ValueError(
                f'widths must be at most {self.embed_dims}, with a whole share of the hidden '
                f'layers {hidden}, got {wrong}'
            )
        if max(depths) > self.num_layers:
            raise ValueError(f'depths must be at most {self.num_layers}, got {max(depths)}')
        wrong = [index for index in self.out_indices if not -min(depths) <= index < 0]
        if wrong:
            raise ValueError(f'out_indices must be within {-min(depths)}…-1, got {wrong}')

    def _check_size(self, height: int, width: int) -> None:
        if (height, width) != tuple(self.img_size):
            raise ValueError(f'images must be {self.img_size}, got {(height, width)}')

    def _run_blocks(self, x: Tensor, subnet: Subnet, masks: Tensor | None = None) -> list[Tensor]:
        """Tokens (B, h·w, D) after each block, the last ones after the final norm."""
        self._check_size(*x.shape[-2:])
        x, _ = self.patch_embed(x, subnet.width)
        if masks is not None:
            token = self.mask_token[..., : subnet.width].to(x.dtype)
            x = torch.where(masks.to(x.device)[..., None], token, x)
        outs = []
        for block in active_blocks(subnet.num_blocks, self.num_layers):
            x = self.layers[block](x)
            outs.append(x)
        outs[-1] = self.norm1(x)
        return outs
