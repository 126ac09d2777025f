"""k-NN results as a CSV file and as a table on the screen."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

from rich.table import Table

from poa_mm.evaluation.knn_benchmark import KnnRow

__all__ = ['knn_table', 'save_csv']

# More sub-networks than this are shown as the paper shows them: depths by widths (Table 13).
_MAX_LIST = 24


def save_csv(rows: Iterable[KnnRow], path: str | Path) -> list[KnnRow]:
    """Writes rows as they arrive, so that an interrupted evaluation keeps what it has finished.

    Args:
        rows: Results; evaluated while this function writes if they come from a generator.
        path: File to write; an existing one is replaced.

    Returns:
        All rows.
    """
    done: list[KnnRow] = []
    for row in rows:
        cells = _cells(row)
        # Opened only now: a run that fails before its first row leaves an older file alone.
        with Path(path).open('a' if done else 'w', newline='', encoding='utf-8') as file:
            writer = csv.DictWriter(file, list(cells))
            if not done:
                writer.writeheader()
            writer.writerow(cells)
        done.append(row)
    return done


def knn_table(rows: Sequence[KnnRow]) -> Table:
    """Table for the screen: one line per sub-network, or depths by widths if there are many."""
    return _list(rows) if len(rows) <= _MAX_LIST else _matrix(rows)


def _cells(row: KnnRow) -> dict[str, object]:
    """Cells of the CSV file by column; baselines only where they were evaluated."""
    cells: dict[str, object] = {
        'subnet': row.subnet,
        'name': row.name,
        'width': row.width,
        'depth': row.depth,
        'params': row.params,
        'feature': row.feature,
    }
    cells |= {f'k{k}': f'{accuracy:.3f}' for k, accuracy in row.accuracies.items()}
    baselines = {'untrained': row.untrained, 'gain': row.gain}
    baselines |= {f'{kind}_pixels': value for kind, value in (row.pixels or {}).items()}
    return cells | {key: f'{value:.3f}' for key, value in baselines.items() if value is not None}


def _list(rows: Sequence[KnnRow]) -> Table:
    columns = ['params (M)', 'accuracy']
    if rows[0].untrained is not None:
        columns += ['untrained', 'gain']
    table = Table('sub-network', 'name', title=_title(rows), caption=_caption(rows))
    for column in columns:
        table.add_column(column, justify='right')
    for row in rows:
        cells = [row.subnet, row.name, f'{row.params / 1e6:.2f}', f'{row.accuracy:.1f}']
        if row.untrained is not None and row.gain is not None:
            cells += [f'{row.untrained:.1f}', f'{row.gain:+.1f}']
        table.add_row(*cells)
    return table


def _matrix(rows: Sequence[KnnRow]) -> Table:
    accuracies = {(row.depth, row.width): f'{row.accuracy:.1f}' for row in rows}
    widths = sorted({row.width for row in rows})
    table = Table('depth', title=f'{_title(rows)}, by depth and width', caption=_caption(rows))
    for width in widths:
        table.add_column(str(width), justify='right')
    for depth in sorted({row.depth for row in rows}):
        table.add_row(str(depth), *(accuracies.get((depth, width), '') for width in widths))
    return table


def _title(rows: Sequence[KnnRow]) -> str:
    return f'k-NN top-1 accuracy (%), k = {rows[0].k}'


def _caption(rows: Sequence[KnnRow]) -> str | None:
    """The baselines in two lines."""
    gains = [row.gain for row in rows if row.gain is not None]
    if not gains or rows[0].pixels is None:
        return None
    pixels = ', '.join(f'{kind} pixels {value:.1f}' for kind, value in rows[0].pixels.items())
    return f'gain over the untrained supernet {min(gains):+.1f} to {max(gains):+.1f}\n{pixels}'
