"""What the writers of all formats get, and what they give back."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from poa_mm.checkpoints.preprocessing import Preprocessing
from poa_mm.elastic import Subnet
from poa_mm.export.check import largest_difference
from poa_mm.export.network import FeatureNet, feature_net

TOLERANCE = 1e-4  # between a sub-network and its extracted form, in any precision but 16 bits


@dataclass(frozen=True)
class Job:
    """One sub-network to write.

    Args:
        supernet: Elastic backbone in evaluation mode.
        subnet: Which sub-network.
        preprocessing: What it expects of images.
        about: Where it comes from, as plain data to store in the file.
    """

    supernet: Any
    subnet: Subnet
    preprocessing: Preprocessing
    about: Mapping[str, Any]

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image."""
        return (self.preprocessing.channels, *self.preprocessing.image_size)

    def network(self) -> FeatureNet:
        """The sub-network with pooled features and feature map, on the CPU.

        Raises:
            ValueError: Its pooled features are not what the supernet takes for its class token.
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
        outputs: What the network gives, in words.
        snippet: Python lines that load the file and run it.
        difference: Largest difference from the sub-network's outputs, relative to the largest of
            them.
        tolerance: The largest one accepted; 0 where weights were compared bit by bit.
        build: How the target library builds the network, as plain data.
    """

    outputs: str
    snippet: str
    difference: float
    tolerance: float
    build: Mapping[str, Any] = field(default_factory=dict)
