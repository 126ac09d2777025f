"""Measure networks and checkpoints without labels, and how far k-NN agrees: tables, plot, results.

RankMe, LiDAR and α-ReQ of every sub-network, of one checkpoint or of several.
"""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from poa_mm import cli
from poa_mm.evaluation import command_line
from poa_mm.files import check_file

if TYPE_CHECKING:
    from poa_mm.evaluation.label_free.run import LabelFreeRow, Views

OUTPUTS = ('label_free.csv', 'agreement.csv', 'agreement.png')


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, usage='%(prog)s WHAT [options]', formatter_class=command_line.formatter
    )
    add = parser.add_argument
    add('--also', nargs='+', default=[], metavar='WHAT', help='further checkpoints to compare')
    add('--knn', nargs='+', type=Path, metavar='FILE', help='results.jsonl of eval_knn.py')
    add('--k', type=int, help='neighbours, without --knn (default: 20, if so many)')
    add('--images', type=int, default=1000, metavar='N', help='images for LiDAR (default: 1000)')
    add('--views', type=int, default=10, metavar='Q', help='views of each (default: 10)')
    add('--seed', type=int, default=0, help='of the views (default: 0)')
    command_line.add_shared(parser)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    return cli.run(evaluate, parse_args(argv))


def evaluate(args: argparse.Namespace) -> None:
    command_line.check(args, 'label_free', OUTPUTS)
    for path in args.knn or ():
        check_file(path, 'file of results')
    for option in ('images', 'views'):
        if getattr(args, option) < 2:
            raise ValueError(f'--{option} must be at least 2, got {getattr(args, option)}')
    from rich.console import Console

    from poa_mm.evaluation.label_free.run import Views, label_free_table
    from poa_mm.evaluation.ranks import is_first
    from poa_mm.tables import save_csv

    console = Console(quiet=not is_first())
    views = Views(args.images, args.views, args.seed)
    rows: list[LabelFreeRow] = []
    for what in (args.what, *args.also):
        rows += measure(argparse.Namespace(**{**vars(args), 'what': what}), views, console)
    if is_first():
        save_csv(iter(rows), args.out_dir / OUTPUTS[0])
        console.print(label_free_table(rows))
        report(args, rows, console)


def measure(args: argparse.Namespace, views: 'Views', console: Any) -> list['LabelFreeRow']:
    """Measure one checkpoint, and append its results."""
    from poa_mm.evaluation import FeatureReader, append_results, latest, read_results
    from poa_mm.evaluation.label_free.run import (
        known_accuracies,
        label_free_results,
        label_free_rows,
    )
    from poa_mm.evaluation.ranks import is_first

    measured = command_line.open_networks(args)
    known = known_accuracies(latest(read_results(*args.knn)), measured) if args.knn else None
    data = command_line.open_data(args, measured)
    console.print(f'{args.what}: {data}', soft_wrap=True)
    args.out_dir.mkdir(parents=True, exist_ok=True)
    reader = FeatureReader(
        data,
        args.batch_size,
        args.workers,
        args.device,
        args.max_memory,
        shared=True,
        splits=('train', 'test') if known is None else ('train',),
    )
    k = args.k or min(20, len(data.train))
    rows = list(label_free_rows(reader, measured, views, k, known))
    told = {'dtype': args.dtype, 'branch': measured.branch}
    if is_first():
        results = label_free_results(rows, measured, reader, views, told)
        append_results(args.out_dir / 'results.jsonl', results)
    return rows


def report(args: argparse.Namespace, rows: list['LabelFreeRow'], console: Any) -> None:
    from poa_mm.evaluation.label_free.run import agreement_table, agreements
    from poa_mm.tables import save_csv
    from poa_mm.visualization import plot_agreement

    found = agreements(rows)
    written = {'measures': args.out_dir / OUTPUTS[0], 'results': args.out_dir / 'results.jsonl'}
    if found:
        console.print(agreement_table(found))
        save_csv(iter(found), args.out_dir / OUTPUTS[1])
        plot_agreement(
            args.out_dir / OUTPUTS[2],
            {row.key: row.knn for row in rows if row.knn is not None},
            {one.measure: {row.key: row.measures[one.measure] for row in rows} for one in found},
            {one.measure: one.title for one in found},
            {row.key: row.width or row.subnet for row in rows},
        )
        written |= {'agreement': args.out_dir / OUTPUTS[1], 'plot': args.out_dir / OUTPUTS[2]}
    for what, path in written.items():
        console.print(f'{what + ":":10} {path}', soft_wrap=True)


if __name__ == '__main__':
    sys.exit(main())
