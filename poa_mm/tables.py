"""Results of sub-networks as CSV files: written row by row, read back with checks."""

import csv
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

from poa_mm.elastic import Depth, SearchSpace, Subnet
from poa_mm.files import check_file

__all__ = [
    'CsvRow',
    'depth_cell',
    'finite_cell',
    'headline_k',
    'read_csv',
    'save_csv',
    'subnet_rows',
]


class CsvRow(Protocol):
    """A result that knows its cells, in the order of the columns."""

    def cells(self) -> dict[str, object]:
        """Cells by column, the same columns in all rows of a file."""


class CountedSubnets(Protocol):
    """A supernet, as far as its tables are concerned."""

    @property
    def space(self) -> SearchSpace:
        """The sub-networks."""

    def num_params(self, subnet: Subnet) -> int:
        """Number of parameters of a sub-network."""


Row = TypeVar('Row', bound=CsvRow)


def save_csv(rows: Iterable[Row], path: str | Path) -> list[Row]:
    """Writes rows as they arrive, so that an interrupted evaluation keeps what it has finished.

    Args:
        rows: Results; evaluated while this function writes if they come from a generator.
        path: File to write; an existing one is replaced.

    Returns:
        All rows.
    """
    done: list[Row] = []
    for row in rows:
        cells = row.cells()
        # Opened only now: a run that fails before its first row leaves an older file alone.
        with Path(path).open('a' if done else 'w', newline='', encoding='utf-8') as file:
            writer = csv.DictWriter(file, list(cells))
            if not done:
                writer.writeheader()
            writer.writerow(cells)
        done.append(row)
    return done


def read_csv(path: str | Path, columns: Collection[str]) -> list[dict[str, str]]:
    """Rows of a CSV file by column.

    Args:
        path: File to read.
        columns: Columns that it must have.

    Raises:
        FileNotFoundError: No such file.
        ValueError: No CSV file, one without rows or without some of the columns, or a row that
            was cut off.
    """
    check_file(path, 'CSV file')
    try:
        with Path(path).open(newline='', encoding='utf-8') as file:
            reader = csv.DictReader(file, strict=True)
            rows, found = list(reader), list(reader.fieldnames or ())
    except (csv.Error, UnicodeDecodeError) as error:
        raise ValueError(f'{path} cannot be read as CSV: {error}') from error
    missing = [column for column in columns if column not in found]
    if missing:
        raise ValueError(
            f'{path} has no column {", ".join(missing)}; its columns are '
            f'{", ".join(found) or "none"}'
        )
    if not rows:
        raise ValueError(f'{path} has no rows')
    for number, row in enumerate(rows, start=1):
        if None in row or None in row.values():
            raise ValueError(f'{path}: row {number} has not as many cells as the header')
    return rows


def subnet_rows(
    path: str | Path, columns: Collection[str], backbone: CountedSubnets
) -> dict[Subnet, dict[str, str]]:
    """Rows of a table of this supernet's sub-networks.

    Sub-networks of different supernets can bear the same name, so their numbers of parameters are
    compared, too.

    Args:
        path: File to read.
        columns: Columns that it must have, beside ``subnet`` and ``params``.
        backbone: Supernet that it should be of, an elastic backbone.

    Raises:
        FileNotFoundError: No such file.
        ValueError: As :func:`read_csv`, or a table of another supernet.
    """
    rows = {}
    for row in read_csv(path, ['subnet', 'params', *columns]):
        try:
            subnet, params = backbone.space[row['subnet']], int(row['params'])
        except ValueError as error:
            raise ValueError(f'{path} does not fit this supernet: {error}') from error
        if params != backbone.num_params(subnet):
            raise ValueError(
                f'{path} does not fit this supernet: {subnet} has {params} parameters there '
                f'and {backbone.num_params(subnet)} here'
            )
        rows[subnet] = row
    return rows


def finite_cell(path: str | Path, row: Mapping[str, str], column: str) -> float:
    """A number out of a row of :func:`subnet_rows`.

    Raises:
        ValueError: The cell holds none, or one that is not finite.
    """
    try:
        number = float(row[column])
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(
            f'{path}: {column} of {row["subnet"]} is {row[column]!r}, no finite number'
        )
    return number


def depth_cell(depth: Depth) -> str:
    """A depth as in a sub-network's identifier: ``'12'``, or ``'3-4-6-3'`` of stages."""
    return '-'.join(map(str, Subnet(0, depth).stage_depths))


def headline_k(ks: Sequence[int]) -> int:
    """The k whose accuracy stands for a network: 20 as in DINO, else the evaluated one nearest."""
    return min(ks, key=lambda k: (abs(k - 20), k))
