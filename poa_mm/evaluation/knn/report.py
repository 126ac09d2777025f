"""k-NN results as a table on the screen."""

from collections.abc import Sequence
from statistics import mean, stdev

from rich.table import Table

from poa_mm.evaluation.knn.benchmark import KnnRow
from poa_mm.tables import headline_k

__all__ = ['knn_table']

# More sub-networks than this are shown as a matrix of depths by widths, like the paper's Table 13,
# or, for families with elastic stages, as a selection.
_MAX_LIST = 24


def knn_table(rows: Sequence[KnnRow]) -> Table:
    """Make a table for the screen.

    It has one line per sub-network, or, if there are many, depths by widths. For families with
    elastic stages, that would be too long: then it shows sub-networks with a well-known name, and
    some from the Pareto front.

    Args:
        rows: Results of :func:`~poa_mm.evaluation.knn_rows`; one or more.
    """
    if len(rows) <= _MAX_LIST:
        return _list(rows, _title(rows))
    if rows[0].width and not isinstance(rows[0].depth, tuple):
        return _matrix(rows)
    from poa_mm.visualization.frontier import pareto_front  # imports matplotlib

    named = [row for row in rows if row.name]
    front = [row for row in pareto_front(rows) if not row.name]
    step = max(1, -(-len(front) // max(1, _MAX_LIST - len(named))))
    shown = sorted(named + front[::step], key=lambda row: row.params)
    return _list(shown, f'{_title(rows)}: {len(shown)} of {len(rows)} sub-networks')


def _list(rows: Sequence[KnnRow], title: str) -> Table:
    columns = ['params (M)', 'accuracy', *(f'{number} a class' for number in rows[0].few_shot)]
    if rows[0].untrained is not None:
        columns += ['untrained', 'gain']
    table = Table('sub-network', 'name', title=title, caption=_caption(rows))
    for column in columns:
        table.add_column(column, justify='right')
    for row in rows:
        cells = [row.subnet, row.name, f'{row.params / 1e6:.2f}', f'{row.accuracy:.1f}']
        cells += few_shot_cells(row)
        if row.untrained is not None and row.gain is not None:
            cells += [f'{row.untrained:.1f}', f'{row.gain:+.1f}']
        table.add_row(*cells)
    return table


def few_shot_cells(row: KnnRow) -> list[str]:
    """Return mean ± standard deviation over the draws, for each size of few-shot banks."""
    cells = []
    for draws in row.few_shot.values():
        k = headline_k(list(draws[0]))
        values = [accuracies[k] for accuracies in draws]
        spread = f' ± {stdev(values):.1f}' if len(values) > 1 else ''
        cells.append(f'{mean(values):.1f}{spread}')
    return cells


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
    """State the baselines in two lines."""
    if rows[0].pixels is None:
        return None
    gains = [row.gain for row in rows if row.gain is not None]
    pixels = ', '.join(f'{kind} pixels {value:.1f}' for kind, value in rows[0].pixels.items())
    if not gains:
        return pixels
    return f'gain over the untrained supernet {min(gains):+.1f} to {max(gains):+.1f}\n{pixels}'
