"""Measure networks and checkpoints without labels, and how far k-NN agrees: tables, plot, results.

RankMe, LiDAR and α-ReQ of every sub-network, of one checkpoint or of several. --train-data DIR
alone takes all images below a folder, without labels.
"""

import argparse
import sys
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any

from poa_mm import cli
from poa_mm.evaluation import command_line
from poa_mm.files import check_file

if TYPE_CHECKING:
    from poa_mm.evaluation import Journal, Measured, Result
    from poa_mm.evaluation.label_free.run import LabelFreeRow, Views

OUTPUTS = ('label_free.csv', 'agreement.csv', 'agreement.png', 'measures.png')
JOURNAL = 'label_free_unfinished.jsonl'  # and one for each further checkpoint
UNLABELLED = 'the images have no labels: k-NN, and what correlates with it, are left out'


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
    command_line.add_baselines(parser)
    command_line.add_shared(parser)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    return cli.run(evaluate, parse_args(argv))


def evaluate(args: argparse.Namespace) -> None:
    command_line.check(args, 'label_free', OUTPUTS, JOURNAL, unlabelled=True)
    for path in args.knn or ():
        check_file(path, 'file of results')
    for option in ('images', 'views'):
        if getattr(args, option) < 2:
            raise ValueError(f'--{option} must be at least 2, got {getattr(args, option)}')
    from rich.console import Console

    from poa_mm.evaluation.label_free.report import label_free_table
    from poa_mm.evaluation.label_free.run import Views
    from poa_mm.evaluation.ranks import is_first
    from poa_mm.evaluation.results import append_new
    from poa_mm.tables import save_csv

    console = Console(quiet=not is_first())
    views = Views(args.images, args.views, args.seed)
    rows: list[LabelFreeRow] = []
    results: list[Result] = []
    journals: list[Journal | None] = []
    for number, what in enumerate((args.what, *args.also)):
        of_one = argparse.Namespace(**{**vars(args), 'what': what, 'number': number})
        found, of_rows, journal = measure(of_one, views, console)
        rows += found
        results += of_rows
        journals.append(journal)
    if not is_first():
        return
    console.print(label_free_table(rows))
    append_new(args.out_dir / 'results.jsonl', results)
    report(args, rows, console)
    # The last of the files: a run that has it is finished.
    save_csv(iter(rows), args.out_dir / OUTPUTS[0])
    for journal in journals:
        if journal is not None:
            journal.close()


def measure(
    args: argparse.Namespace, views: 'Views', console: Any
) -> tuple[list['LabelFreeRow'], list['Result'], 'Journal | None']:
    """Measure one checkpoint: rows, results, and the journal that has them meanwhile."""
    from poa_mm.evaluation import FeatureReader, latest, read_results
    from poa_mm.evaluation.label_free.report import label_free_results
    from poa_mm.evaluation.label_free.run import known_accuracies, label_free_rows

    measured = command_line.open_networks(args)
    known = known_accuracies(latest(read_results(*args.knn)), measured) if args.knn else None
    data = command_line.open_images(args, measured)
    console.print(f'{args.what}: {data}', soft_wrap=True)
    if known is None and not data.labelled:
        if args.k is not None:
            raise ValueError('--k is for k-NN, which needs labels: the images have none')
        console.print(f'note: {UNLABELLED}', soft_wrap=True)
    args.out_dir.mkdir(parents=True, exist_ok=True)
    reader = FeatureReader(
        data,
        args.batch_size,
        args.workers,
        args.device,
        args.max_memory,
        shared=True,
        splits=('train', 'test') if known is None and data.labelled else ('train',),
    )
    k = args.k or min(20, len(data.train))
    told = {'dtype': args.dtype, 'branch': measured.branch}
    journal = open_journal(args, measured, data, views, None if known else k)
    rows = list(label_free_rows(reader, measured, views, k, known, journal, args.baselines))
    return rows, list(label_free_results(rows, measured, reader, views, told)), journal


def open_journal(
    args: argparse.Namespace, measured: 'Measured', data: Any, views: 'Views', k: int | None
) -> 'Journal | None':
    """Open the file of finished networks, in the process that writes it."""
    from poa_mm.evaluation import Journal
    from poa_mm.evaluation.ranks import is_first

    if not is_first():
        return None
    about = {
        'checkpoint': measured.source_sha256,
        'data set': data.both_sha256,
        'preparation of images': data.settings,
        'views': str(views),
        'k': k,
        'baselines': args.baselines,
        'dtype': args.dtype,
        'branch': measured.branch,
    }
    name = f'{args.number}_{JOURNAL}' if args.number else JOURNAL
    return Journal(args.out_dir / name, about, args.overwrite)


def report(args: argparse.Namespace, rows: list['LabelFreeRow'], console: Any) -> None:
    from poa_mm.evaluation.label_free.report import agreement_table, agreements
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
    if rows[0].width and not args.also:  # sub-networks of one supernet
        plot(args, rows)
        written['by size'] = args.out_dir / OUTPUTS[3]
    for what, path in written.items():
        console.print(f'{what + ":":10} {path}', soft_wrap=True)


def plot(args: argparse.Namespace, rows: list['LabelFreeRow']) -> None:
    """Plot the measures over size, with baselines."""
    from poa_mm.evaluation.baselines import lines_of
    from poa_mm.visualization import plot_measures

    values = {name: [row.measures[name] for row in rows] for name in rows[0].measures}
    baselines = {
        name: lines_of(
            {
                baseline: [row.baselines[baseline][name] for row in rows]
                for baseline, found in rows[0].baselines.items()
                if name in found
            }
        )
        for name in values
    }
    title = fill(f'Measures without labels of {args.what}', 120)
    plot_measures(rows, args.out_dir / OUTPUTS[3], values, baselines, title)


if __name__ == '__main__':
    sys.exit(main())
