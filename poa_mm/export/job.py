"""Inputs and results of the writers of all formats."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from poa_mm.checkpoints.preprocessing import Preprocessing
from poa_mm.elastic import Subnet
from poa_mm.export.check import largest_difference
from poa_mm.export.network import FeatureNet, feature_net
from poa_mm.models.backbones import ElasticBackbone

TOLERANCE = 1e-4  # between a sub-network and its extraction, in 32 or 64 bits


@dataclass(frozen=True)
class Job:
    """A sub-network to export.

    Args:
        supernet: Elastic backbone in evaluation mode.
        subnet: Which sub-network.
        preprocessing: Size, crop and normalisation that it expects.
        about: Its origin, as plain data to store in the file.
    """

    supernet: ElasticBackbone
    subnet: Subnet
    preprocessing: Preprocessing
    about: Mapping[str, Any]

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image."""
        return (self.preprocessing.channels, *self.preprocessing.image_size)

    def network(self) -> FeatureNet:
        """Extract the sub-network with pooled features and feature map as outputs, on the CPU.

        Raises:
            ValueError: Its pooled features differ from the class token of ``supernet.tokens``.
        """
        net = feature_net(self.supernet, self.subnet, self.preprocessing.image_size)
        parameter = next(self.supernet.parameters())
        largest_difference(
            lambda images: net(images.to(parameter))[:1],
            lambda images: self.supernet.tokens(images.to(parameter), self.subnet)[:1],
            self.input_shape,
            TOLERANCE,
        )
        return net.cpu()


@dataclass(frozen=True)
class Written:
    """A file that was written and checked.

    Args:
        outputs: Description of the network's outputs.
        snippet: Python lines that load the file and run it.
        difference: Largest difference from the sub-network's outputs, relative to the largest
            output.
        tolerance: Largest difference accepted; 0 if weights were compared bit by bit.
        build: Arguments with which the target library builds the network, as plain data.
    """

    outputs: str
    snippet: str
    difference: float
    tolerance: float
    build: Mapping[str, Any] = field(default_factory=dict)
