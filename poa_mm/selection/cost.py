"""Cost of a network: parameters, FLOPs and activation memory, found without running it.

Networks are traced on PyTorch's meta device, where tensors have shapes but no values: no weights
are copied, and tracing a sub-network of a full-size supernet takes a tenth of a second.
"""

import copy
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from poa_mm.checkpoints.build import build_on_meta, meta_parameter
from poa_mm.elastic import Subnet
from poa_mm.models.backbones import ElasticBackbone
from poa_mm.models.backbones.supernet_layers import image_channels
from poa_mm.selection.cost_trace import FusedAttention, Tracer

__all__ = ['Cost', 'ImageSize', 'module_cost', 'params_and_flops', 'subnet_cost']

ImageSize = int | tuple[int, int]


@dataclass(frozen=True)
class Cost:
    """Cost of one network for one image (batch size 1), activations in float32.

    Memory counts tensors only: no parameters, no workspace of kernels, no rounding by allocators.
    Fused attention keeps no attention matrix; networks that compute one explicitly (Swin) keep it.
    Both figures are proportional to the batch size; 16-bit activations take about half.

    Args:
        params: Number of parameters.
        flops: Multiply-accumulates of all matrix products, convolutions and attention in a forward
            pass, which papers, timm and OpenMMLab report as FLOPs or GMACs (ViT-S: 4.6 G). Double
            it to count multiplications and additions separately.
        activation_bytes: Peak memory of activations during inference, the image included.
        training_bytes: Memory of the activations that a forward pass keeps for the backward pass,
            if all parameters train, without drop paths and activation checkpointing.
    """

    params: int
    flops: int
    activation_bytes: int
    training_bytes: int


def module_cost(net: nn.Module, image_size: ImageSize = 224) -> Cost:
    """Count the cost of any network that takes a batch of images.

    Args:
        net: The network; it is neither run nor changed.
        image_size: Side of the images in pixels, or (height, width).

    Raises:
        ValueError: ``image_size`` is not positive, or the network cannot take such images.

    Example:
        >>> module_cost(nn.Conv2d(3, 8, kernel_size=4, stride=4), image_size=32)
        Cost(params=392, flops=24576, activation_bytes=14336, training_bytes=14336)
    """
    # Given to deepcopy as copies already made, so that it does not copy the weights.
    copied: dict[int, Tensor] = {
        id(parameter): meta_parameter(parameter) for parameter in net.parameters()
    }
    copied |= {id(buffer): buffer.to('meta') for buffer in net.buffers()}
    return _cost(copy.deepcopy(net, copied), image_size)


def subnet_cost(
    backbone: ElasticBackbone, subnet: Subnet | str | None = None, image_size: ImageSize = 224
) -> Cost:
    """Count the cost of a sub-network, as the stock network that ``backbone.extract`` returns.

    Args:
        backbone: Elastic backbone, with or without weights (:func:`build_on_meta`).
        subnet: Which sub-network; ``None`` is the intact network.
        image_size: Side of the images in pixels, or (height, width).

    Raises:
        ValueError: The sub-network is unknown, or as for :func:`module_cost`.

    Example:
        >>> from poa_mm.models.backbones import ElasticVisionTransformer
        >>> supernet = ElasticVisionTransformer('deit-tiny', widths=[64, 128, 192])
        >>> subnet_cost(supernet, 'w64-d12').params, subnet_cost(supernet).params
        (661824, 5524416)
    """
    return _cost(build_on_meta(backbone.subnet_cfg(subnet)), image_size)


def params_and_flops(
    backbone: ElasticBackbone, subnets: Iterable[Subnet], image_size: ImageSize = 224
) -> Iterator[tuple[Subnet, int, int]]:
    """Count parameters and FLOPs of many sub-networks as :func:`subnet_cost` does, but faster.

    A block costs the same in all sub-networks of one width, whichever other blocks they keep. So a
    sub-network is traced only if it has a block that was in none before it: with evenly spread
    blocks, about one for each width.

    Args:
        backbone: Elastic backbone, with or without weights.
        subnets: Sub-networks that a stock network can express.
        image_size: Side of the images in pixels, or (height, width).

    Yields:
        A sub-network, its number of parameters and its FLOPs; deep sub-networks come first.

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
    """Trace a network on the meta device for inference and for training."""
    net.eval()
    inference, training = _trace(net, image_size, False), _trace(net, image_size, True)
    return Cost(
        params=_num_params(net),
        flops=inference.flops // 2,  # PyTorch counts a multiply-accumulate as two
        activation_bytes=inference.peak,
        training_bytes=training.bytes,
    )


class _Share(NamedTuple):
    """Cost of a part of a network."""

    params: int
    flops: int


def _shares(net: nn.Module, names: Iterable[str], image_size: ImageSize) -> dict[str, _Share]:
    """Count the cost of blocks of a network on the meta device; key '' holds the rest."""
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
    """Trace a forward pass up to the return of its output; also count FLOPs within ``modules``."""
    height, width = (image_size, image_size) if isinstance(image_size, int) else image_size
    if min(height, width) < 1:
        raise ValueError(f'image_size must be positive, got {image_size}')
    try:
        with torch.set_grad_enabled(grad), FusedAttention(), Tracer(net, modules) as tracer:
            output = net(torch.empty(1, image_channels(net), height, width, device='meta'))
            tracer.followed.clear()  # keep the figures at the return of the output
            del output
    except (AssertionError, RuntimeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(
            f'{type(net).__name__} cannot run on images of {height} x {width} pixels: {reason}'
        ) from error
    return tracer
