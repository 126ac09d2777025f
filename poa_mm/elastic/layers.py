"""Layers that accept a prefix of their channels.

Width flows through shapes: a layer reads the width of its sub-network from the input and slices
its parameters to match, so nothing is set on a module and nothing is remembered between calls.
``sliced`` is the only slicing rule of a layer. ``forward`` runs on its result and extraction copies
it, so an extracted network equals the trained sub-network by construction.

Where the input of a layer is reduced, its weight is scaled by α = D_max / D_i. Scaling the weight,
not the input, keeps that equality exact to the bit in every precision. :func:`set_alpha_scaling`
switches α off in a whole network, when that is built: the ablation of Table 16.

An elastic layer is its stock class with another ``forward``: :func:`make_elastic` swaps the class
of existing modules, so parameters, names, initialisation and hooks stay those of the stock network.
"""

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@runtime_checkable
class ElasticLayer(Protocol):
    """A layer that can run, and be cut out, at any width up to its own."""

    @property
    def full_width(self) -> int:
        """Width of the intact layer along the axis that ``sliced`` counts."""

    def sliced(self, width: int) -> dict[str, Tensor]:
        """Return the parameters of the stock layer of ``width``, by name."""


class _ElasticInput:
    """A linear map that is elastic in its input and, in proportion, in its output.

    Its rows, the outputs, are ``row_groups`` equal blocks. A prefix of each block is kept.
    """

    row_groups = 1
    alpha_scaling = True  # see set_alpha_scaling
    weight: Any  # defined by the stock layer
    bias: Any

    @property
    def full_width(self) -> int:
        """Inputs of the intact layer."""
        return self.weight.shape[1]

    def sliced(self, width: int) -> dict[str, Tensor]:
        """Slice to ``width`` inputs: ``w[:out, :width] · α`` and ``b[:out]`` (Eq. 2)."""
        parameters: dict[str, Tensor] = {'weight': self.weight}
        if self.bias is not None:
            parameters['bias'] = self.bias
        if width == self.full_width:  # the intact layer: no copy, no scaling
            return parameters
        rows = self._rows(width)
        parameters = {
            name: parameter.unflatten(0, (self.row_groups, -1))[:, :rows].flatten(0, 1)
            for name, parameter in parameters.items()
        }
        # Biases are never scaled.
        weight = parameters['weight'][:, :width]
        if self.alpha_scaling:
            parameters['weight'] = weight * (self.full_width / width)
        else:  # a copy as well: kernels may round otherwise with the strides of a view
            parameters['weight'] = weight.contiguous()
        return parameters

    def _rows(self, width: int) -> int:
        """Count the rows that are kept of each group."""
        outputs = len(self.weight)
        rows = outputs * width // (self.full_width * self.row_groups)
        share = rows * self.row_groups * self.full_width
        assert share == outputs * width, f'{self} has no slice of width {width}'
        return rows


class ElasticLinear(_ElasticInput, nn.Linear):
    """Linear layer elastic in its input and, in proportion, in its output (Eq. 3).

    Both layers of an MLP are such: ``w1[:ρD_i, :D_i] · α`` and ``w2[:D_i, :ρD_i] · α``, where
    ρ is the ratio of the intact layers. ``sliced`` is that of Eq. 2.

    Example:
        >>> layer = nn.Linear(8, 32)
        >>> make_elastic(layer, {nn.Linear: ElasticLinear})
        >>> layer(torch.zeros(1, 6)).shape
        torch.Size([1, 24])
        >>> torch.equal(layer.sliced(6)['weight'], layer.weight[:24, :6] * (8 / 6))
        True
    """

    def forward(self, x: Tensor) -> Tensor:
        """Map (…, width) to (…, its share of the output features)."""
        return F.linear(x, **self.sliced(x.shape[-1]))


# mmengine's initialisers know a layer by its direct bases, hence nn.Linear once more.
class ElasticQKV(ElasticLinear, nn.Linear):
    """Query, key and value projections of all heads, stacked as q, k, v.

    A narrower network drops heads and keeps the head dimension: it keeps the first D_i rows of each
    of the three.
    """

    row_groups = 3


class ElasticInputLinear(ElasticLinear, nn.Linear):
    """Linear layer elastic in its input alone: the first layer of a projection head (Sec. 3.2)."""

    def _rows(self, width: int) -> int:
        return self.out_features


class ElasticLayerNorm(nn.LayerNorm):
    """LayerNorm over a prefix of the channels: the first elements of its weight and bias."""

    @property
    def full_width(self) -> int:
        """Channels of the intact layer."""
        return self.normalized_shape[0]

    def sliced(self, width: int) -> dict[str, Tensor]:
        """Slice weight and bias to their first ``width`` elements."""
        return _prefix(self, width)

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (…, width) over its last axis."""
        width = x.shape[-1]
        return F.layer_norm(x, (width,), eps=self.eps, **self.sliced(width))


class ElasticLayerScale(nn.Module):
    """LayerScale on a prefix of the channels, in place of mmcv's and of mmpretrain's."""

    weight: Tensor

    @property
    def full_width(self) -> int:
        """Channels of the intact layer."""
        return self.weight.shape[0]

    def sliced(self, width: int) -> dict[str, Tensor]:
        """Slice to the first ``width`` scales."""
        return _prefix(self, width)

    def forward(self, x: Tensor) -> Tensor:
        """Scale the channels of (…, width)."""
        return x * self.sliced(x.shape[-1])['weight']


class ElasticOutputConv2d(nn.Conv2d):
    """Convolution elastic in its output alone. Its input is an image or keeps its channels."""

    @property
    def full_width(self) -> int:
        """Output channels of the intact layer."""
        return self.out_channels

    def sliced(self, width: int) -> dict[str, Tensor]:
        """Slice to the first ``width`` outputs. The input is not reduced, so there is no α."""
        return _prefix(self, width)

    def forward(self, x: Tensor, width: int | None = None) -> Tensor:
        """Convolve (B, C, H, W) into ``width`` channels, all of them by default."""
        sliced = self.sliced(width or self.out_channels)
        return self._conv_forward(x, sliced['weight'], sliced.get('bias'))


class ElasticConv2d(_ElasticInput, nn.Conv2d):
    """Convolution elastic in its input and, in proportion, in its output (Eq. 12).

    It is the middle one of a bottleneck. The first, elastic in its output, is an
    :class:`ElasticOutputConv2d`; the last, elastic in its input, an :class:`ElasticInputConv2d`.
    Weights are scaled by α where the input is reduced, as in Eq. 2.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Convolve (B, width, H, W) into its share of the output channels."""
        sliced = self.sliced(x.shape[1])
        return self._conv_forward(x, sliced['weight'], sliced.get('bias'))


# mmengine's initialisers know a layer by its direct bases, hence nn.Conv2d once more.
class ElasticInputConv2d(ElasticConv2d, nn.Conv2d):
    """Convolution elastic in its input alone: the last one of a bottleneck."""

    def _rows(self, width: int) -> int:
        return self.out_channels


class ElasticGroupNorm(nn.GroupNorm):
    """GroupNorm over a prefix of the channels, in as many groups as the intact layer has."""

    @property
    def full_width(self) -> int:
        """Channels of the intact layer."""
        return self.num_channels

    def sliced(self, width: int) -> dict[str, Tensor]:
        """Slice weight and bias to their first ``width`` elements."""
        return _prefix(self, width)

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (B, width, H, W) within groups of channels."""
        return F.group_norm(x, self.num_groups, eps=self.eps, **self.sliced(x.shape[1]))


def make_elastic(network: nn.Module, elastic: Mapping[type[nn.Module], type[nn.Module]]) -> None:
    """Turn the layers of a stock network into elastic ones, in place.

    Args:
        network: Any module.
        elastic: Elastic class of each stock class. An elastic class must not need state that its
            stock class lacks.
    """
    for module in network.modules():
        for stock, replacement in elastic.items():
            if isinstance(module, stock):
                module.__class__ = replacement
                break


def set_alpha_scaling(network: nn.Module, scaling: bool) -> None:
    """Have all elastic layers of a network scale sliced inputs' weights by α, or none of them.

    Args:
        network: A network with elastic layers. Its copies have the same setting.
        scaling: ``False`` is the ablation of Table 16: Eq. 2 and those like it without their α.

    Example:
        >>> layer = ElasticLinear(8, 32)
        >>> set_alpha_scaling(layer, False)
        >>> torch.equal(layer.sliced(6)['weight'], layer.weight[:24, :6])
        True
    """
    for module in network.modules():
        if isinstance(module, _ElasticInput):
            module.alpha_scaling = scaling


@torch.no_grad()
def num_sliced(layer: ElasticLayer, width: int) -> int:
    """Count the elements of ``layer.sliced(width)``."""
    if type(layer).sliced is _ElasticInput.sliced:  # scaled copies, which need not be made
        assert isinstance(layer, _ElasticInput)
        per_row = width * layer.weight[0, 0].numel() + (layer.bias is not None)
        return layer._rows(width) * layer.row_groups * per_row
    return sum(part.numel() for part in layer.sliced(width).values())


def _prefix(layer: nn.Module, width: int) -> dict[str, Tensor]:
    """Slice each parameter of a layer to its first ``width`` entries."""
    return {name: parameter[:width] for name, parameter in layer.named_parameters(recurse=False)}
