"""The layers of a network: which a sub-network keeps, and what the first one takes."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from torch import nn

from poa_mm.elastic import ElasticLayer

RGB = 3


class Layer(NamedTuple):
    """A layer of a supernet.

    Attributes:
        name: Its name in the supernet, or in a stock network.
        module: The layer, an :class:`~poa_mm.elastic.ElasticLayer` if it is elastic.
        elastic: Whether it can be sliced; else it is kept whole.
    """

    name: str
    module: Any
    elastic: bool


def find_layers(network: nn.Module) -> list[Layer]:
    """List the modules of a network that have parameters of their own or can be sliced."""
    # Asked once a class: isinstance with a protocol takes longer than all else here.
    kinds: dict[type, bool] = {}
    layers = []
    for name, module in network.named_modules():
        if module is network:
            continue
        if type(module) not in kinds:
            kinds[type(module)] = isinstance(module, ElasticLayer)
        elastic = kinds[type(module)]
        if elastic or any(True for _ in module.parameters(False)):
            layers.append(Layer(name, module, elastic))
    return layers


def image_channels(network: nn.Module) -> int:
    """Return the channels of a network's images: the inputs of its first convolution.

    Without a convolution, they are those of RGB.
    """
    convolutions = (layer for layer in network.modules() if isinstance(layer, nn.Conv2d))
    first = next(convolutions, None)
    return RGB if first is None else first.in_channels


def kept_layers(layers: Sequence[Layer], blocks: Mapping[str, Sequence[int]]) -> list[Layer]:
    """Select the layers that a sub-network keeps, with their names in the stock network.

    Args:
        layers: Of the supernet.
        blocks: Blocks that the sub-network keeps, by the name of their list. All layers outside of
            these lists are kept.
    """
    kept = {
        f'{name}.{block}.': f'{name}.{position}.'
        for name, indices in blocks.items()
        for position, block in enumerate(indices)
    }
    lists = tuple(f'{name}.' for name in blocks)
    selected = []
    for layer in layers:
        if not layer.name.startswith(lists):
            selected.append(layer)
            continue
        parent = next(name for name in lists if layer.name.startswith(name))
        prefix = parent + layer.name.removeprefix(parent).split('.')[0] + '.'
        if prefix in kept:
            name = kept[prefix] + layer.name.removeprefix(prefix)
            selected.append(layer._replace(name=name))
    return selected
