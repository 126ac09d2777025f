"""Measures without labels as tables, as results, and against k-NN."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.table import Table

from poa_mm.evaluation.baselines import baseline_result
from poa_mm.evaluation.label_free.grid import MEASURES, Agreement, agreement
from poa_mm.evaluation.label_free.run import LabelFreeRow, Views
from poa_mm.evaluation.network_features import FeatureReader
from poa_mm.evaluation.network_row import shared_fields
from poa_mm.evaluation.networks.measured import Measured
from poa_mm.evaluation.results import Result

__all__ = [
    'agreement_table',
    'agreements',
    'label_free_results',
    'label_free_table',
]


def agreements(rows: Sequence[LabelFreeRow]) -> list[Agreement]:
    """Compare each measure with k-NN, over all rows and among rows of one width.

    Returns:
        One for each measure; none if no row has a k-NN accuracy.
    """
    several = len({row.source for row in rows}) > 1
    by_key = {row.key if several else row.subnet: row for row in rows}
    accuracies = {key: row.knn for key, row in by_key.items() if row.knn is not None}
    groups = {key: (row.source, row.width or row.subnet) for key, row in by_key.items()}
    if not accuracies:
        return []
    return [
        agreement(name, {k: row.measures[name] for k, row in by_key.items()}, accuracies, groups)
        for name in MEASURES
    ]


def label_free_table(rows: Sequence[LabelFreeRow]) -> Table:
    """Make a table of the measures for the screen, with lines of baselines below each network."""
    several = len({row.source for row in rows}) > 1
    table = Table(*(['weights'] if several else []))
    for column in ('network', 'name'):
        table.add_column(column, overflow='fold')  # long names stay whole
    for column in ('params (M)', *MEASURES, 'k-NN'):
        table.add_column(column, justify='right')
    for row in rows:
        values = [f'{row.measures[name]:.2f}' for name in MEASURES]
        known = '' if row.knn is None else f'{row.knn:.1f}'
        cells = [row.subnet, row.name, f'{row.params / 1e6:.2f}', *values, known]
        table.add_row(*([row.weights] if several else []), *cells)
        if 'untrained' in row.baselines:
            table.add_row(*([''] if several else []), *_baseline_cells(row, 'untrained'))
    for baseline in rows[0].baselines:
        if baseline != 'untrained':  # pixels are the same for all networks
            table.add_row(*([''] if several else []), *_baseline_cells(rows[0], baseline))
    return table


def _baseline_cells(row: LabelFreeRow, baseline: str) -> list[str]:
    found = row.baselines[baseline]
    values = [f'{found[name]:.2f}' if name in found else '' for name in MEASURES]
    return [f'  {baseline.replace("_", " ")}', '', '', *values, '']


def agreement_table(found: Sequence[Agreement]) -> Table:
    """Make a table of what each measure would have chosen."""
    table = Table(title='does the measure choose what k-NN chooses?')
    table.add_column('measure')
    for column in ('Spearman', 'within a width'):
        table.add_column(column, justify='right')
    table.add_column('chooses')
    for column in ('its k-NN', 'the best k-NN'):
        table.add_column(column, justify='right')
    for one in found:
        correlations = [
            '-' if value is None else f'{value:+.2f}' for value in (one.spearman, one.within)
        ]
        accuracies = [f'{one.accuracy:.1f}', f'{one.best:.1f}']
        table.add_row(one.measure, *correlations, one.chosen, *accuracies)
    return table


def label_free_results(
    rows: Sequence[LabelFreeRow],
    measured: Measured,
    reader: FeatureReader,
    views: Views,
    settings: Mapping[str, Any],
) -> Iterator[Result]:
    """Yield the measures in the format of all results.

    Args:
        rows: Of :func:`label_free_rows`.
        measured: What they are of.
        reader: What they were made with.
        views: Likewise.
        settings: What else can change the numbers.
    """
    about = shared_fields(measured, reader.data)
    of_lidar = {'images': views.images, 'views': views.number, 'seed': views.seed}
    for row in rows:
        shown = {'': row.measures, **row.baselines}
        for baseline, values in shown.items():
            if baseline.endswith('pixels') and row is not rows[0]:  # the same for all networks
                continue
            for name, value in values.items():
                told = {**settings, **(of_lidar if name == 'lidar' else {})}
                result = Result(
                    'label_free', name, value, row.subnet, row.name, settings=told, unit='', **about
                )
                yield baseline_result(result, baseline, value) if baseline else result
