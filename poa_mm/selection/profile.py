"""Costs of all sub-networks of a supernet in one table."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

from rich.table import Table

from poa_mm.elastic import Depth, Subnet, well_known_name
from poa_mm.models.backbones import ElasticBackbone
from poa_mm.selection.cost import ImageSize, subnet_cost
from poa_mm.selection.latency import subnet_latency
from poa_mm.tables import depth_cell

__all__ = [
    'LatencySettings',
    'ProfileRow',
    'extractable',
    'image_size_cell',
    'profile_rows',
    'profile_table',
]

# Sub-networks that a screen holds. If there are more, those with well-known names are shown.
_MAX_LIST = 24


@dataclass(frozen=True)
class LatencySettings:
    """Conditions of a latency measurement.

    Args:
        batch_size: Images in a pass.
        threads: Number of CPU threads.
        device: Device that the network runs on.
    """

    batch_size: int = 1
    threads: int = 1
    device: str = 'cpu'


@dataclass(frozen=True)
class ProfileRow:
    """Cost of one sub-network; see :class:`~poa_mm.selection.Cost` for what is counted.

    Args:
        subnet: The sub-network's identifier, such as ``'w384-d12'``.
        name: Its well-known name, or ''.
        width: Elastic width.
        depth: Elastic depth; a tuple for families with elastic stages.
        params: Number of parameters.
        flops: Multiply-accumulates for one image.
        activation_bytes: Peak memory of activations during inference on one image.
        training_bytes: Memory of the activations of one image kept for the backward pass.
        image_size: Side of the images in pixels, or (height, width).
        latency: Seconds of a forward pass, if measured.
        settings: Conditions of the latency, if measured.
    """

    subnet: str
    name: str
    width: int
    depth: Depth
    params: int
    flops: int
    activation_bytes: int
    training_bytes: int
    image_size: ImageSize
    latency: float | None = None
    settings: LatencySettings | None = None

    def cells(self) -> dict[str, object]:
        """Return the cells of a CSV file by column; latency only if it was measured."""
        cells: dict[str, object] = {
            'subnet': self.subnet,
            'name': self.name,
            'width': self.width,
            'depth': depth_cell(self.depth),
            'params': self.params,
            'flops': self.flops,
            'activation_bytes': self.activation_bytes,
            'training_bytes': self.training_bytes,
            'image_size': image_size_cell(self.image_size),
        }
        if self.latency is not None and self.settings is not None:
            cells |= {'latency_ms': f'{self.latency * 1e3:.4g}', **asdict(self.settings)}
        return cells


def image_size_cell(image_size: ImageSize) -> str:
    """Format an image size for a table.

    Example:
        >>> image_size_cell(224), image_size_cell((32, 48))
        ('224', '32x48')
    """
    sides = (image_size,) if isinstance(image_size, int) else image_size
    return 'x'.join(map(str, sides[: len(set(sides))]))


def profile_rows(
    backbone: ElasticBackbone,
    subnets: Sequence[Subnet],
    image_size: ImageSize = 224,
    latency: LatencySettings | None = None,
) -> Iterator[ProfileRow]:
    """Find the costs of sub-networks; yield each row as it is finished.

    Args:
        backbone: Elastic backbone, with or without weights.
        subnets: Sub-networks that can be extracted (:func:`extractable`).
        image_size: Side of the images in pixels, or (height, width).
        latency: Conditions under which to measure the latency; ``None`` measures none.

    Yields:
        One row for each sub-network, in the order of ``subnets``.

    Raises:
        ValueError: As :func:`~poa_mm.selection.subnet_cost`, or settings are not positive.

    Example:
        >>> from poa_mm.models.backbones import ElasticVisionTransformer
        >>> supernet = ElasticVisionTransformer('deit-tiny', widths=[64, 128, 192])
        >>> for row in profile_rows(supernet, supernet.subnets):
        ...     print(row.subnet, row.params, row.flops)
        w64-d12 661824 185439744
        w128-d12 2503296 603270144
        w192-d12 5524416 1253491200

    """
    for subnet in subnets:
        cost = subnet_cost(backbone, subnet, image_size)
        seconds = None
        if latency is not None:
            seconds = subnet_latency(backbone, subnet, image_size, **asdict(latency))
        yield ProfileRow(
            subnet=str(subnet),
            name=well_known_name(backbone.space, subnet),
            width=subnet.width,
            depth=subnet.depth,
            **asdict(cost),
            image_size=image_size,
            latency=seconds,
            settings=latency,
        )


def extractable(
    backbone: ElasticBackbone, subnets: Sequence[Subnet]
) -> tuple[list[Subnet], dict[Subnet, str]]:
    """Select the sub-networks that a stock network can express.

    Supernets converted from the authors' code may have others.

    Args:
        backbone: Elastic backbone, with or without weights.
        subnets: Members of its space.

    Returns:
        Those sub-networks, and for each of the others the reason.

    Raises:
        ValueError: None of them can be expressed.
    """
    refused = {}
    for subnet in subnets:
        try:
            backbone.subnet_cfg(subnet)
        except ValueError as error:
            refused[subnet] = str(error)
    fine = [subnet for subnet in subnets if subnet not in refused]
    if not fine:
        raise ValueError(next(iter(refused.values()), 'no sub-networks are given'))
    return fine, refused


def profile_table(rows: Sequence[ProfileRow]) -> Table:
    """Make a table for the screen: all sub-networks, or, if there are many, the named ones."""
    from poa_mm.visualization.profile import si_prefix  # imports matplotlib

    shown = rows if len(rows) <= _MAX_LIST else [row for row in rows if row.name]
    sides = image_size_cell(rows[0].image_size)
    title = f'Cost of one image of {sides} pixels: {len(shown)} of {len(rows)} sub-networks'
    table = Table(title=title)
    for column in ('sub-network', 'name'):
        table.add_column(column, no_wrap=True)
    flops, flops_size = si_prefix([row.flops for row in rows])
    memory, memory_size = si_prefix([row.training_bytes for row in rows])
    columns = ['params\n(M)', f'FLOPs\n({flops})']
    columns += [f'{use}\n({memory}B)' for use in ('inference', 'training')]
    settings = rows[0].settings
    if settings is not None:
        columns.append('latency\n(ms)')
        table.caption = (
            f'latency: batch size {settings.batch_size}, {settings.threads} threads, '
            f'{settings.device}'
        )
    for column in columns:
        table.add_column(column, justify='right')
    for row in shown:
        cells = [row.subnet, row.name, f'{row.params / 1e6:.2f}', f'{row.flops / flops_size:.3g}']
        cells += [
            f'{size / memory_size:.3g}' for size in (row.activation_bytes, row.training_bytes)
        ]
        if row.latency is not None:
            cells.append(f'{row.latency * 1e3:.3g}')
        table.add_row(*cells)
    return table
