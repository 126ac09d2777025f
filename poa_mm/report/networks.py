"""What the page knows of each sub-network: size, cost and accuracy in one row."""

from collections.abc import Mapping
from dataclasses import dataclass

from poa_mm.elastic import Depth, Subnet, well_known_name
from poa_mm.models.backbones import ElasticBackbone
from poa_mm.report.scores import Scores
from poa_mm.selection.cost import ImageSize, params_and_flops
from poa_mm.selection.pick_inputs import Profiled, format_amount
from poa_mm.selection.profile import extractable

__all__ = ['NetworkPoint', 'network_points']


@dataclass(frozen=True)
class NetworkPoint:
    """A sub-network.

    Args:
        subnet: Its identifier, such as ``'w384-d12'``.
        name: Its well-known name, such as ``'vit-s'``, or ''.
        width: Elastic width.
        depth: Elastic depth; a tuple for families with elastic stages.
        params: Number of parameters.
        flops: Multiply-accumulates for one image.
        latency: Seconds of a forward pass, if measured.
        accuracy: In percent, if measured.
        untrained: Accuracy of the same network with random weights, if measured.
    """

    subnet: str
    name: str
    width: int
    depth: Depth
    params: int
    flops: int
    latency: float | None = None
    accuracy: float | None = None
    untrained: float | None = None

    def texts(self) -> dict[str, str]:
        """Write costs and accuracy with their units, by what they are."""
        texts = {
            'parameters': format_amount('params', self.params).removesuffix(' parameters'),
            'FLOPs': format_amount('flops', self.flops),
        }
        if self.latency is not None:
            texts['latency'] = format_amount('latency', self.latency)
        if self.accuracy is not None:
            texts['accuracy'] = f'{self.accuracy:.1f} %'
        if self.untrained is not None:
            texts['untrained'] = f'{self.untrained:.1f} %'
        return texts


def network_points(
    backbone: ElasticBackbone,
    image_size: ImageSize,
    scores: Scores | None = None,
    profile: Mapping[Subnet, Profiled] | None = None,
) -> list[NetworkPoint]:
    """Put together what is known of all sub-networks that a stock network can express.

    Args:
        backbone: Elastic backbone.
        image_size: Height and width of the images that FLOPs are counted for; a profile's FLOPs
            are counted for the profile's.
        scores: Accuracies by sub-network.
        profile: Of :func:`~poa_mm.selection.profile_from_csv`, for latencies.

    Returns:
        Rows from small to large.
    """
    subnets, _ = extractable(backbone, backbone.subnets)
    points = []
    for subnet, params, flops in params_and_flops(backbone, subnets, image_size):
        known = (profile or {}).get(subnet)
        key = str(subnet)
        points.append(
            NetworkPoint(
                subnet=key,
                name=well_known_name(backbone.space, subnet),
                width=subnet.width,
                depth=subnet.depth,
                params=params,
                flops=known.flops if known else flops,
                latency=known.latency if known else None,
                accuracy=scores.accuracies.get(key) if scores else None,
                untrained=scores.untrained.get(key) if scores else None,
            )
        )
    return sorted(points, key=lambda point: (point.params, point.subnet))
