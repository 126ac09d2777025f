"""The numbers of the paper's tables beside one's own."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TypeAlias

import yaml

from poa_mm.evaluation.results import Result, latest
from poa_mm.files import check_file

__all__ = ['Cell', 'Comparison', 'PaperTable', 'compare', 'read_paper']

Value: TypeAlias = str | int | float | Mapping[str, object] | None
NOT_RUN = 'not run'
# What the address of a number says of how it is measured, beside its sub-network.
MEASURED = ('protocol', 'metric', 'data')


@dataclass(frozen=True)
class Cell:
    """A number of the paper.

    Args:
        address: What table, column and row say of it: method, network, protocol, metric, data …
        value: The number; None where the paper has none.
    """

    address: Mapping[str, Value]
    value: float | None

    @property
    def ours(self) -> bool:
        """Whether it is of a sub-network of POA as published, which a run can repeat."""
        return self.address.get('method') == 'POA' and self.address.get('network') is not None

    def is_of(self, result: Result) -> bool:
        """Whether a result measures the same of the same sub-network.

        Numbers of ablations and of other methods have none: the name of a sub-network does not
        tell these networks apart.
        """
        if not self.ours:
            return False
        if any(self.address.get(key) != getattr(result, key) for key in MEASURED):
            return False
        settings = self.address.get('settings')
        if isinstance(settings, Mapping) and any(
            result.settings.get(key) != value for key, value in settings.items()
        ):
            return False
        return self.address['network'] in (result.network, result.name)


@dataclass(frozen=True)
class PaperTable:
    """A table of the paper.

    Args:
        number: As the paper counts, such as ``'13'``, or the section of those that lost it.
        title: What it shows.
        columns: Labels of the columns.
        rows: Labels of the rows.
        cells: Rows of numbers, one for each column.
        note: What is odd about it, or ''.
    """

    number: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[str, ...]
    cells: tuple[tuple[Cell, ...], ...]
    note: str = ''


def read_paper(path: str | PathLike) -> list[PaperTable]:
    """Read the tables of ``results/paper.yaml``.

    Raises:
        FileNotFoundError: No such file.
        ValueError: A table whose rows and columns do not fit.
    """
    check_file(path, 'file of tables')
    content = yaml.safe_load(Path(path).read_text(encoding='utf-8'))
    return [_table(entry) for entry in content['tables']]


def _table(entry: Mapping) -> PaperTable:
    columns, rows = entry['columns'], entry['rows']
    for row in rows:
        if len(row['values']) != len(columns):
            raise ValueError(
                f'table {entry["table"]}: {len(row["values"])} values for {len(columns)} columns '
                f'in the row {_label(row)}'
            )
    return PaperTable(
        number=entry['table'],
        title=entry['title'],
        columns=tuple(column['label'] for column in columns),
        rows=tuple(map(_label, rows)),
        cells=tuple(
            tuple(
                Cell(_address(entry['say'], column, row), value)
                for column, value in zip(columns, row['values'], strict=True)
            )
            for row in rows
        ),
        note=entry.get('note', ''),
    )


def _label(row: Mapping) -> str:
    """What a row says, but for its numbers."""
    parts = [
        str(value) if key in ('method', 'network', 'variant') else f'{key} {value}'
        for key, value in row.items()
        if key != 'values'
    ]
    return ', '.join(parts)


def _address(*parts: Mapping) -> dict[str, Value]:
    """Join what table, column and row say; ``{width}`` in a name stands for what another says."""
    address = {key: value for part in parts for key, value in part.items()}
    del address['values'], address['label']
    network = address.get('network')
    if isinstance(network, str):
        address['network'] = network.format(**address)
    return address


@dataclass(frozen=True)
class Comparison:
    """A table of the paper with one's own numbers.

    Args:
        table: The paper's.
        ours: The result of each number, None where there is none.
    """

    table: PaperTable
    ours: tuple[tuple[Result | None, ...], ...]

    def texts(self) -> Iterator[list[str]]:
        """Yield label and cells of each row: ``paper``, or ``paper / ours / difference``."""
        digits = [max(map(_digits, column)) for column in zip(*self.table.cells, strict=True)]
        for label, cells, ours in zip(self.table.rows, self.table.cells, self.ours, strict=True):
            yield [label, *map(_text, cells, ours, digits)]

    def markdown(self) -> str:
        """Return the table in markdown, under a heading."""
        head = ['', *self.table.columns]
        rows = [head, ['---'] * len(head), *self.texts()]
        lines = '\n'.join(f'| {" | ".join(row)} |' for row in rows)
        note = f'{self.table.note}\n\n' if self.table.note else ''
        return f'## Table {self.table.number}: {self.table.title}\n\n{note}{lines}\n'


def _digits(cell: Cell) -> int:
    """Count the decimals of a number, 1 of 82.0 and 0 of 82, as the paper prints a column."""
    return len(repr(cell.value).partition('.')[2]) if isinstance(cell.value, float) else 0


def _text(cell: Cell, result: Result | None, digits: int) -> str:
    if cell.value is None:
        return '-'
    paper = f'{cell.value:.{digits}f}'
    if result is not None:
        return f'{paper} / {result.value:.4g} / {result.value - cell.value:+.2f}'
    return f'{paper} / {NOT_RUN}' if cell.ours else paper


def compare(tables: Sequence[PaperTable], results: Iterable[Result]) -> list[Comparison]:
    """Put one's own results beside the numbers of the paper.

    Args:
        tables: Of :func:`read_paper`.
        results: One's own. Of repeated measurements, the last one counts.

    Raises:
        ValueError: For one number there are results of several checkpoints, on several data sets,
            or with several settings.
    """
    results = latest(results)
    return [
        Comparison(
            table,
            tuple(tuple(_result_of(cell, table, results) for cell in row) for row in table.cells),
        )
        for table in tables
    ]


def _result_of(cell: Cell, table: PaperTable, results: Sequence[Result]) -> Result | None:
    found = [result for result in results if cell.is_of(result)]
    if len(found) > 1:
        raise ValueError(f'table {table.number}: {_differing(found)}; compare one of them')
    return found[0] if found else None


def _differing(results: Sequence[Result]) -> str:
    """Say in what results for the same number differ."""
    first = results[0]
    what = f'{len(results)} results for {first.protocol} {first.metric} of {first.network}'
    files = {f'{result.source} ({result.source_sha256[:8]})' for result in results}
    if len(files) > 1:
        return f'{what}, of {" and ".join(sorted(files))}'
    data = {f'{result.data} ({result.data_sha256[:8]})' for result in results}
    if len(data) > 1:
        return f'{what}, on {" and ".join(sorted(data))}'
    return f'{what}, with settings {" and ".join(str(dict(r.settings)) for r in results)}'
