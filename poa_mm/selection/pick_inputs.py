"""Inputs of the choice of a sub-network: amounts with units, and tables of other tools."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from poa_mm.elastic import Subnet
from poa_mm.selection.cost import ImageSize
from poa_mm.selection.profile import LatencySettings, image_size_cell
from poa_mm.tables import Supernet, finite_cell, headline_k, subnet_rows

__all__ = [
    'Conditions',
    'Profiled',
    'accuracies_from_csv',
    'format_amount',
    'parse_amount',
    'profile_from_csv',
]

UNITS: Mapping[str, Mapping[str, float]] = {
    'params': {'': 1, 'K': 10**3, 'M': 10**6, 'B': 10**9},
    'flops': {'': 1, 'K': 10**3, 'M': 10**6, 'G': 10**9, 'T': 10**12},
    'latency': {'s': 1, 'ms': 1e-3, 'us': 1e-6},
}
EXAMPLES = {'params': '30M', 'flops': '4.6G', 'latency': '20ms'}


@dataclass(frozen=True)
class Conditions:
    """Conditions under which the costs of a table were found.

    Attributes:
        image_size: Height and width of the images in pixels.
        latency: Settings of the latency measurement, if the table has latencies.
    """

    image_size: tuple[int, int]
    latency: LatencySettings | None = None

    def __str__(self) -> str:
        text = f'images of {image_size_cell(self.image_size)} pixels'
        if self.latency is None:
            return text
        return (
            f'{text}; latency: batch size {self.latency.batch_size}, {self.latency.threads} '
            f'threads, {self.latency.device}'
        )

    def check(self, image_size: ImageSize | None = None, **settings: int | str | None) -> None:
        """Check that requested settings agree with these conditions.

        Args:
            image_size: Side of the images, or (height, width); ``None`` accepts any.
            **settings: Fields of :class:`~poa_mm.selection.LatencySettings`; ``None`` accepts any.
                They are not compared if the table has no latencies.

        Raises:
            ValueError: A setting differs; the message names both values.
        """
        asked: dict[str, object] = {
            'image_size': image_size and image_size_cell(image_size),
            **settings,
        }
        known: dict[str, object] = {'image_size': image_size_cell(self.image_size)}
        known |= asdict(self.latency) if self.latency else {}
        wrong = [
            f'{name.replace("_", " ")} {value} is asked for, {known[name]} is that of the profile'
            for name, value in asked.items()
            if value is not None and known.get(name, value) != value
        ]
        if wrong:
            raise ValueError('; '.join(wrong))


@dataclass(frozen=True)
class Profiled:
    """Costs of a sub-network in a table of ``tools/profile_subnets.py``.

    Attributes:
        params: Number of parameters.
        flops: Multiply-accumulates for one image.
        latency: Seconds of a forward pass, if measured.
        conditions: Conditions of the table, if known.
    """

    params: int
    flops: int
    latency: float | None = None
    conditions: Conditions | None = None


def parse_amount(kind: str, text: str) -> float:
    """Convert a text such as ``'30M'`` (parameters), ``'4.6G'`` (FLOPs) or ``'20ms'``.

    Args:
        kind: ``'params'``, ``'flops'`` or ``'latency'``.
        text: Number and unit.

    Raises:
        ValueError: The text is not a positive number with a known unit.

    Example:
        >>> parse_amount('params', '30M'), parse_amount('latency', '20ms')
        (30000000.0, 0.02)
    """
    units = UNITS[kind]
    match = re.fullmatch(r'(\d+(?:\.\d+)?)([A-Za-z]*)', text.strip())
    if match is None or match[2] not in units or not float(match[1]) > 0:
        known = ', '.join(unit for unit in units if unit)
        raise ValueError(
            f'{text!r} is no amount of {kind}: write {EXAMPLES[kind]} (units: {known})'
        )
    return float(match[1]) * units[match[2]]


def format_amount(kind: str, value: float) -> str:
    """Format an amount with its unit.

    Example:
        >>> format_amount('params', 30e6), format_amount('flops', 4.6e9)
        ('30 M parameters', '4.6 GFLOPs')
    """
    names = {'params': ' parameters', 'flops': 'FLOPs', 'latency': ''}
    units = sorted((size, unit) for unit, size in UNITS[kind].items())
    size, unit = [units[0], *(pair for pair in units if pair[0] <= value)][-1]
    return f'{value / size:.4g} {unit}{names[kind]}'.replace('  ', ' ')


def accuracies_from_csv(path: str | Path, backbone: Supernet) -> dict[Subnet, float]:
    """Read accuracies from a table of ``tools/eval_knn.py``, at k = 20 or the k nearest to it.

    Args:
        path: The table.
        backbone: Elastic backbone whose sub-networks the table lists.

    Returns:
        Accuracies in percent by sub-network.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is another kind of table, one of another supernet, or an accuracy is not a
            finite number.
    """
    rows = subnet_rows(path, [], backbone)
    ks = [int(name[1:]) for name in next(iter(rows.values())) if re.fullmatch(r'k\d+', name)]
    if not ks:
        raise ValueError(f'{path} has no column with an accuracy (k10, k20, …)')
    column = f'k{headline_k(ks)}'
    return {subnet: finite_cell(path, row, column) for subnet, row in rows.items()}


def profile_from_csv(path: str | Path, backbone: Supernet) -> dict[Subnet, Profiled]:
    """Read costs and their conditions from a table of ``tools/profile_subnets.py``.

    Args:
        path: The table.
        backbone: Elastic backbone whose sub-networks the table lists.

    Returns:
        Costs by sub-network.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is another kind of table, one of another supernet, or one that mixes
            conditions.
    """
    profile = {}
    for subnet, row in subnet_rows(path, ['flops', 'image_size'], backbone).items():
        latency = finite_cell(path, row, 'latency_ms') / 1e3 if row.get('latency_ms') else None
        try:
            settings = None if latency is None else _settings(row)
            conditions = Conditions(_image_size(row['image_size']), settings)
            profile[subnet] = Profiled(int(row['params']), int(row['flops']), latency, conditions)
        except KeyError as error:
            raise ValueError(f'{path} has latencies, but no column {error}') from error
        except ValueError as error:
            raise ValueError(
                f'{path} has a cell of {subnet} that cannot be read: {error}'
            ) from error
    found = list(dict.fromkeys(str(cost.conditions) for cost in profile.values()))
    if len(found) > 1:
        raise ValueError(f'{path} mixes costs of {found[0]} with those of {found[1]}')
    return profile


def _settings(row: Mapping[str, str]) -> LatencySettings:
    return LatencySettings(int(row['batch_size']), int(row['threads']), row['device'])


def _image_size(cell: str) -> tuple[int, int]:
    """Read height and width from a cell such as ``'224'`` or ``'32x48'``."""
    sides = [int(side) for side in cell.split('x')]
    if len(sides) > 2:
        raise ValueError(f'{cell!r} is not an image size')
    return sides[0], sides[-1]
