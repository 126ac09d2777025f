"""What a network costs: parameters, FLOPs and activation memory, found without running it.

Networks are traced on PyTorch's meta device, where tensors have shapes but no values: no weights
are copied, and a sub-network of a full-size supernet takes a tenth of a second.
"""

import copy
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import nn

from poa_mm.checkpoints.build import build_on_meta, meta_parameter
from poa_mm.elastic import Subnet
from poa_mm.models.backbones.supernet_layers import image_channels
from poa_mm.selection.cost_trace import FusedAttention, Tracer

__all__ = ['Cost', 'ImageSize', 'module_cost', 'params_and_flops', 'subnet_cost']

ImageSize = int | tuple[int, int]


@dataclass(frozen=True)
class Cost:
    """Cost of one network for one image (batch size 1), activations in float32.

    Memory counts tensors alone: no parameters, no workspace of kernels, no rounding by allocators.
    Fused attention keeps no attention matrix; networks that compute one explicitly (Swin) keep it.
    Both figures grow in proportion to the batch size, and 16-bit activations take about half.

    Args:
        params: Number of parameters.
        flops: Multiply-accumulates of all matrix products, convolutions and attention in a forward
            pass. This is what papers, timm and OpenMMLab report as FLOPs or GMACs (ViT-S: 4.6 G);
            to count multiplications and additions apart, double it.
        activation_bytes: Peak of the activations alive at the same time during inference, the
            image included.
        training_bytes: Activations that a forward pass keeps for the backward pass, if all
            parameters train, without drop paths and activation checkpointing.
    """

    params: int
    flops: int
    activation_bytes: int
    training_bytes: int


def module_cost(net: nn.Module, image_size: ImageSize = 224) -> Cost:
    """Cost of any network that takes a batch of images.

    Args:
        net: The network; it is neither run nor changed.
        image_size: Side of the images in pixels, or (height, width).

    Raises:
        ValueError: ``image_size`` is not positive, or the network cannot take such images.
    """
    # Weights are what a deep copy would copy, unless it takes them for copied already.
    copied: dict[int, Any] = {
        id(parameter): meta_parameter(parameter) for parameter in net.parameters()
    }
    copied |= {id(buffer): buffer.to('meta') for buffer in net.buffers()}
    return _cost(copy.deepcopy(net, copied), image_size)


def subnet_cost(
    backbone: Any, subnet: Subnet | str | None = None, image_size: ImageSize = 224
) -> Cost:
    """Cost of a sub-network as the stock network that ``backbone.extract(subnet)`` gives.

    Args:
        backbone: Elastic backbone, with or without weights (:func:`build_on_meta`).
        subnet: Which sub-network; ``None`` is the intact network.
        image_size: Side of the images in pixels, or (height, width).

    Raises:
        ValueError: Unknown sub-network, or as for :func:`module_cost`.
    """
    return _cost(build_on_meta(backbone.subnet_cfg(subnet)), image_size)


def params_and_flops(
    backbone: Any, subnets: Iterable[Subnet], image_size: ImageSize = 224
) -> Iterator[tuple[Subnet, int, int]]:
    """Parameters and FLOPs of sub-networks, as :func:`subnet_cost` counts them, from few traces.

    A block costs the same in all sub-networks of one width, whichever others they keep. So one is
    traced only if it has a block that none before it had: with evenly spread blocks, about one for
    each width.

    Args:
        backbone: Elastic backbone, with or without weights.
        subnets: Sub-networks that can be extracted.
        image_size: Side of the images in pixels, or (height, width).

    Yields:
        A sub-network, its parameters and its FLOPs; deep ones come first.

    Raises:
        ValueError: As for :func:`subnet_cost`.
    """
    rests: dict[int, _Share] = {}  # by width: what lies outside of the blocks
    blocks: dict[tuple[int, str, int], _Share] = {}  # by width, list and index
    for subnet in sorted(subnets, key=lambda subnet: subnet.num_blocks, reverse=True):
        kept = {  # and their names in the stock network
            (subnet.width, name, index): f'{name}.{position}'
            for name, indices in backbone.kept_blocks(subnet).items()
            for position, index in enumerate(indices)
        }
        if not kept.keys() <= blocks.keys() or subnet.width not in rests:
            net = build_on_meta(backbone.subnet_cfg(subnet))
            shares = _shares(net, kept.values(), image_size)
            blocks |= {key: shares.pop(name) for key, name in kept.items()}
            rests[subnet.width] = shares['']
        parts = [rests[subnet.width], *(blocks[key] for key in kept)]
        yield subnet, sum(part.params for part in parts), sum(part.flops for part in parts)


def _cost(net: nn.Module, image_size: ImageSize) -> Cost:
    """Cost of a network on the meta device."""
    net.eval()
    inference, training = _trace(net, image_size, False), _trace(net, image_size, True)
    return Cost(
        params=_num_params(net),
        flops=inference.flops // 2,  # PyTorch counts a multiply-accumulate as two
        activation_bytes=inference.peak,
        training_bytes=training.bytes,
    )


class _Share(NamedTuple):
    """What a part of a network costs."""

    params: int
    flops: int


def _shares(net: nn.Module, names: Iterable[str], image_size: ImageSize) -> dict[str, _Share]:
    """Costs of blocks of a network on the meta device, and under '' of all that is in none."""
    modules = {name: net.get_submodule(name) for name in names}
    tracer = _trace(net, image_size, False, modules)
    shares = {
        name: _Share(_num_params(module), tracer.within[name] // 2)
        for name, module in modules.items()
    }
    params = _num_params(net) - sum(share.params for share in shares.values())
    flops = tracer.flops // 2 - sum(share.flops for share in shares.values())
    return {**shares, '': _Share(params, flops)}


def _num_params(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _trace(
    net: nn.Module,
    image_size: ImageSize,
    grad: bool,
    modules: Mapping[str, nn.Module] | None = None,
) -> Tracer:
    """The tracer of a forward pass, with what it was when the pass had returned its output.

    It also counts what runs within ``modules``.
    """
    height, width = (image_size, image_size) if isinstance(image_size, int) else image_size
    if min(height, width) < 1:
        raise ValueError(f'image_size must be positive, got {image_size}')
    try:
        with torch.set_grad_enabled(grad), FusedAttention(), Tracer(net, modules) as tracer:
            output = net(torch.empty(1, image_channels(net), height, width, device='meta'))
            tracer.followed.clear()  # what is freed from now on no longer counts
            del output
    except (AssertionError, RuntimeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(
            f'{type(net).__name__} cannot run on images of {height} x {width} pixels: {reason}'
        ) from error
    return tracer
