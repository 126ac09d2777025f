"""The record of all measurements, a CSV file that lives in git."""

import csv
import fcntl
import io
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from poa_mm.tables import read_csv

RECORD = Path(__file__).with_name('results.csv')


@dataclass(frozen=True)
class Row:
    """A number.

    Args:
        run: Name in the manifest.
        seed: Of the run.
        network: Sub-network, or kind of pixels; ``''`` for the whole run.
        metric: ``'cls'`` or ``'mean'``, k-NN accuracy in percent by the class token or the mean
            patch token, k = 20; ``'gflop'``, of an image in a training step; or ``'minutes'``.
        value: The number.
        steps: Length of the run.
        config: Hash of what decides the run.
        data: Hash of the images.
    """

    run: str
    seed: int
    network: str
    metric: str
    value: float
    steps: int
    config: str
    data: str


COLUMNS = tuple(field.name for field in fields(Row))


def read_rows(path: Path) -> list[Row]:
    """Read the record; none if there is no file yet.

    Raises:
        ValueError: A file that is no such record.
    """
    if not path.exists():
        return []
    try:
        return [
            Row(
                **{
                    **{name: cells[name] for name in COLUMNS},
                    'seed': int(cells['seed']),
                    'value': float(cells['value']),
                    'steps': int(cells['steps']),
                }
            )
            for cells in read_csv(path, COLUMNS)
        ]
    except ValueError as error:
        raise ValueError(f'{path} is no record of runs: {error}') from error


def append_rows(path: Path, rows: Iterable[Row]) -> None:
    """Append rows of a run, all or none; processes that append at once wait for one another."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator='\n')
    for row in rows:
        writer.writerow({**asdict(row), 'value': f'{row.value:.4f}'})
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open('a', encoding='utf-8') as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        if file.tell() == 0:
            file.write(','.join(COLUMNS) + '\n')
        file.write(text.getvalue())
        file.flush()
        os.fsync(file.fileno())


def current(rows: Iterable[Row], configs: dict[str, str], data: str | None) -> Iterator[Row]:
    """Yield the rows that are not stale: of today's configs, by run, and of these images.

    Args:
        rows: Of :func:`read_rows`.
        configs: Hash of each run's config.
        data: Hash of the images; None takes any.
    """
    for row in rows:
        if configs.get(row.run) == row.config and data in (None, row.data):
            yield row


def done(rows: Iterable[Row]) -> set[tuple[str, int]]:
    """Return which runs of which seeds rows are of."""
    return {(row.run, row.seed) for row in rows}
