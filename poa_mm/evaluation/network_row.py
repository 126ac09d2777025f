"""What rows of all tables on networks have in common."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from poa_mm.elastic import Depth
from poa_mm.evaluation.results import versions
from poa_mm.tables import depth_cell

if TYPE_CHECKING:
    from poa_mm.evaluation.labelled_data import LabelledData, UnlabelledData
    from poa_mm.evaluation.networks.measured import Measured, Network

__all__ = ['NetworkRow', 'depth_from_plain', 'shared_fields']


@dataclass(frozen=True)
class NetworkRow:
    """A network, as the first columns of a table name it.

    Args:
        subnet: The sub-network's identifier, such as ``'w384-d12'``, or the name of a model.
        name: Its well-known name, or ''.
        width: Elastic width; 0 of a network that is none of a supernet.
        depth: Elastic depth; a tuple for families with elastic stages; 0 as above.
        params: Number of parameters.
    """

    subnet: str
    name: str
    width: int
    depth: Depth
    params: int

    @staticmethod
    def fields_of(network: 'Network') -> dict[str, Any]:
        """Return these fields of a network."""
        return {
            'subnet': network.name,
            'name': network.known_as,
            'width': network.subnet.width if network.subnet else 0,
            'depth': network.subnet.depth if network.subnet else 0,
            'params': network.params,
        }

    def cells(self) -> dict[str, object]:
        """Return the first cells of a CSV file by column."""
        return {
            'subnet': self.subnet,
            'name': self.name,
            'width': self.width or '',
            'depth': depth_cell(self.depth) if self.depth else '',
            'params': self.params,
        }


def depth_from_plain(depth: int | list[int]) -> Depth:
    """Return a depth that a file of JSON holds, where tuples are lists."""
    return tuple(depth) if isinstance(depth, list) else depth


def shared_fields(measured: 'Measured', data: 'LabelledData | UnlabelledData') -> dict[str, Any]:
    """Return the fields that all results on these networks and images share.

    See :class:`~poa_mm.evaluation.Result`.
    """
    return {
        'source': measured.source,
        'source_sha256': measured.source_sha256,
        'data': data.name,
        'data_sha256': data.both_sha256,
        'versions': versions(('torch', 'timm', 'scikit-learn', 'scipy')),
    }
