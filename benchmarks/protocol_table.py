"""Print the results of all protocols on one checkpoint as a markdown table.

    python benchmarks/protocol_table.py RUN/*/results.jsonl

A row for each sub-network, with random weights in brackets, and one for pixels.
"""

import argparse
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from poa_mm import cli
from poa_mm.evaluation import Result, latest, read_results
from poa_mm.files import check_file


class Column(NamedTuple):
    """A column of the table: the results that it shows.

    Args:
        title: Head of the column.
        protocol: See :class:`poa_mm.evaluation.Result`.
        metric: Its metric; baselines have it with a prefix.
        settings: Those settings that tell it from others of the same metric.
        digits: Decimal places.
    """

    title: str
    protocol: str
    metric: str
    settings: dict[str, object]
    digits: int = 1


LINEAR, NEIGHBOURS = 'linear probe', 'k-NN on clean images, k = 20'
COLUMNS = (
    Column('k-NN, mean patch', 'knn', 'top1', {'k': 20, 'feature': 'mean'}),
    Column('k-NN, class token', 'knn', 'top1', {'k': 20, 'feature': 'cls'}),
    Column('linear', 'linear', 'top1', {}),
    Column('k-means ACC', 'clustering', 'acc', {}),
    Column('NMI', 'clustering', 'nmi', {}),
    Column('half dropped, linear', 'occlusion', 'top1', {'level': '50%', 'classifier': LINEAR}),
    Column('k-NN', 'occlusion', 'top1', {'level': '50%', 'classifier': NEIGHBOURS}),
    Column('shuffled 4 × 4, linear', 'shuffle', 'top1', {'level': '4x4', 'classifier': LINEAR}),
    Column('k-NN', 'shuffle', 'top1', {'level': '4x4', 'classifier': NEIGHBOURS}),
    Column('dense k-NN mIoU', 'dense_knn', 'miou', {'k': 30}),
    Column('RankMe', 'label_free', 'rankme', {}),
    Column('LiDAR', 'label_free', 'lidar', {}),
    Column('α-ReQ', 'label_free', 'alpha_req', {}, 2),
)
PIXELS = ('raw', 'normalised')


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('results', nargs='+', type=Path, help='results.jsonl of one checkpoint')
    cli.add_traceback(parser)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Print the table of the files that the command line names."""
    return cli.run(show, parse_args(argv))


def show(args: argparse.Namespace) -> None:
    """Read the results and print their table."""
    for path in args.results:
        check_file(path, 'file of results')
    results = latest(read_results(*args.results))
    sources = {result.source_sha256 for result in results}
    if len(sources) > 1:
        raise ValueError(f'results of {len(sources)} checkpoints: {sorted(sources)}')
    print('\n'.join(table(results)))


def table(results: Iterable[Result]) -> list[str]:
    """Return the lines of the table."""
    results = list(results)
    names = dict.fromkeys(one.network for one in results if one.network != 'pixels')
    rows = [[f'`{name}`', *cells(results, name, with_untrained)] for name in names]
    for kind in PIXELS:
        rows.append([f'{kind} pixels', *cells(results, 'pixels', pixels_of(kind))])
    head = ['', *(column.title for column in COLUMNS)]
    lines = [head, ['---'] * len(head), *rows]
    return ['| ' + ' | '.join(line) + ' |' for line in lines]


def cells(
    results: list[Result], network: str, write: Callable[[dict[str, float], Column], str]
) -> list[str]:
    """Return what ``write`` makes of the network's values in each column."""
    return [write(found(results, network, column), column) for column in COLUMNS]


def found(results: list[Result], network: str, column: Column) -> dict[str, float]:
    """Return the values of one network in one column by metric."""
    return {
        one.metric: one.value
        for one in results
        if (one.protocol, one.network) == (column.protocol, network) and _belongs(one, column)
    }


def _belongs(one: Result, column: Column) -> bool:
    # Random weights have the better of both features, pixels none.
    free = {'feature'} if one.metric != column.metric else set()
    return all(one.settings.get(key) == column.settings[key] for key in {*column.settings} - free)


def with_untrained(values: dict[str, float], column: Column) -> str:
    """Write the value of a network, that with random weights in brackets."""
    if column.metric not in values:
        return ''
    text = f'{values[column.metric]:.{column.digits}f}'
    untrained = values.get(f'untrained_{column.metric}')
    return text if untrained is None else f'{text} ({untrained:.{column.digits}f})'


def pixels_of(kind: str) -> Callable[[dict[str, float], Column], str]:
    """Return a function that writes the value of pixels."""

    def write(values: dict[str, float], column: Column) -> str:
        names = [f'{kind}_pixels_{column.metric}']
        if (column.protocol, kind) == ('linear', 'normalised'):  # the only ones it takes
            names.append(f'pixels_{column.metric}')
        value = next((values[name] for name in names if name in values), None)
        return '' if value is None else f'{value:.{column.digits}f}'

    return write


if __name__ == '__main__':
    sys.exit(main())
