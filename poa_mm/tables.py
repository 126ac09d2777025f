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
    """A result that can be written as a row of a CSV file."""

    def cells(self) -> dict[str, object]:
        """Return the cells by column, with the same columns in all rows of a file."""


class Supernet(Protocol):
    """What a table needs of an elastic backbone."""

    @property
    def space(self) -> SearchSpace:
        """The sub-networks."""

    def num_params(self, subnet: Subnet) -> int:
        """Return the number of parameters of an extracted sub-network."""


Row = TypeVar('Row', bound=CsvRow)


def save_csv(rows: Iterable[Row], path: str | Path) -> list[Row]:
    """Write rows as they arrive, so that an interrupted evaluation keeps the finished ones.

    Args:
        rows: Results. Those of a generator are computed one by one while this function writes.
        path: File to write; an existing file is replaced when the first row arrives.

    Returns:
        All rows.
    """
    done: list[Row] = []
    for row in rows:
        cells = row.cells()
        # Opened after the first row: a run that fails earlier does not touch an existing file.
        with Path(path).open('a' if done else 'w', newline='', encoding='utf-8') as file:
            writer = csv.DictWriter(file, list(cells))
            if not done:
                writer.writeheader()
            writer.writerow(cells)
        done.append(row)
    return done


def read_csv(path: str | Path, columns: Collection[str]) -> list[dict[str, str]]:
    """Read the rows of a CSV file.

    Args:
        path: File to read.
        columns: Columns that it must have.

    Returns:
        Rows as texts by column.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is not a CSV file, has no rows, lacks a column, or has a row that was
            cut off.
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
    path: str | Path, columns: Collection[str], backbone: Supernet
) -> dict[Subnet, dict[str, str]]:
    """Read a table of this supernet's sub-networks.

    Sub-networks of different supernets can have the same name, so numbers of parameters are
    compared as well.

    Args:
        path: File to read.
        columns: Columns that it must have in addition to ``subnet`` and ``params``.
        backbone: Elastic backbone whose sub-networks the table should list.

    Returns:
        Rows by sub-network.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: As :func:`read_csv`, or the table is of another supernet.
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
    """Return a cell of a row of :func:`subnet_rows` as a number.

    Raises:
        ValueError: The cell does not hold a finite number.
    """
    try:
        number = float(row[column])
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(
            f'{path}: {column} of {row["subnet"]} is {row[column]!r}, not a finite number'
        )
    return number


def depth_cell(depth: Depth) -> str:
    """Format a depth as in a sub-network's identifier.

    Example:
        >>> depth_cell(12), depth_cell((3, 4, 6, 3))
        ('12', '3-4-6-3')
    """
    return '-'.join(map(str, Subnet(0, depth).stage_depths))


def headline_k(ks: Sequence[int]) -> int:
    """Choose the k whose accuracy is reported where there is room for one: 20, as in DINO.

    If 20 was not evaluated, it is the k nearest to it.

    Example:
        >>> headline_k([10, 20, 100, 200]), headline_k([1, 5])
        (20, 5)
    """
    return min(ks, key=lambda k: (abs(k - 20), k))
