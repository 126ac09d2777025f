"""Cluster the features of sub-networks and other networks by k-means: table, CSV, plot, results."""

import argparse
import sys
from textwrap import fill
from typing import TYPE_CHECKING, Any

from poa_mm import cli
from poa_mm.evaluation import command_line

if TYPE_CHECKING:
    from poa_mm.evaluation.clustering_run import Clusters

OUTPUTS = ('clustering.csv', 'clustering.png')
JOURNAL = 'clustering_unfinished.jsonl'


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, usage='%(prog)s WHAT [options]', formatter_class=command_line.formatter
    )
    add = parser.add_argument
    add('--clusters', type=int, help='default: the number of classes')
    add('--repeats', type=int, default=1, help='runs, for a standard deviation (default: 1)')
    add('--seed', type=int, default=0, help='of the first run (default: 0)')
    add('--normalise', action='store_true', help='divide features by their length first')
    command_line.add_baselines(parser)
    command_line.add_shared(parser)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    return cli.run(evaluate, parse_args(argv))


def evaluate(args: argparse.Namespace) -> None:
    command_line.check(args, 'clustering', OUTPUTS, JOURNAL)
    for option in ('clusters', 'repeats'):
        value = getattr(args, option)
        if value is not None and value < 1:
            raise ValueError(f'--{option} must be positive, got {value}')
    from rich.console import Console

    from poa_mm.evaluation import FeatureReader, Journal
    from poa_mm.evaluation.clustering_run import Clusters, clustering_rows
    from poa_mm.evaluation.ranks import is_first
    from poa_mm.tables import save_csv

    clusters = Clusters(args.clusters, args.repeats, args.seed, args.normalise)
    measured = command_line.open_networks(args)
    data = command_line.open_data(args, measured)
    reader = FeatureReader(
        data,
        args.batch_size,
        args.workers,
        args.device,
        args.max_memory,
        shared=True,
        splits=('test',),
        store=command_line.open_store(args, measured, data),
    )
    console = Console(quiet=not is_first())
    console.print(f'k-means on {describe_test(reader)}', soft_wrap=True)
    args.out_dir.mkdir(parents=True, exist_ok=True)
    told = {'dtype': args.dtype, 'branch': measured.branch}
    about = {
        'checkpoint': measured.source_sha256,
        'data set': data.both_sha256,
        'preparation of images': data.settings,
        'clustering': str(clusters),
        'baselines': args.baselines,
        **told,
    }
    journal = Journal(args.out_dir / JOURNAL, about, args.overwrite) if is_first() else None
    rows = clustering_rows(reader, measured, clusters, journal, args.baselines)
    if journal is None:
        list(rows)
        return
    report(
        args, save_csv(rows, args.out_dir / OUTPUTS[0]), measured, reader, clusters, told, console
    )
    journal.close()


def report(
    args: argparse.Namespace,
    rows: list[Any],
    measured: Any,
    reader: Any,
    clusters: 'Clusters',
    told: dict[str, Any],
    console: Any,
) -> None:
    from poa_mm.evaluation import append_results
    from poa_mm.evaluation.baselines import lines_of
    from poa_mm.evaluation.clustering_run import clustering_results, clustering_table
    from poa_mm.visualization import plot_frontier

    console.print(clustering_table(rows))
    table, plot = (args.out_dir / name for name in OUTPUTS)
    written = {'table': table}
    if rows[0].width:  # sub-networks
        title = fill(f'k-means on {describe_test(reader)}', 90)
        lines = {name: [row.baseline(name) for row in rows] for name in rows[0].baselines}
        plot_frontier(rows, plot, lines_of(lines), title, 'clustering accuracy (%)')
        written['plot'] = plot
    written['results'] = args.out_dir / 'results.jsonl'
    append_results(written['results'], clustering_results(rows, measured, reader, clusters, told))
    for what, path in written.items():
        console.print(f'{what + ":":8} {path}', soft_wrap=True)


def describe_test(reader: Any) -> str:
    from poa_mm.datasets.description import describe

    return describe(reader.data.test)


if __name__ == '__main__':
    sys.exit(main())
