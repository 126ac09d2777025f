"""Measure mIoU by k-NN on patch tokens: table, CSV file, plots, results."""

import argparse
import sys
from textwrap import fill
from typing import TYPE_CHECKING, Any

from poa_mm import cli
from poa_mm.evaluation import command_line
from poa_mm.files import check_folder

if TYPE_CHECKING:
    from poa_mm.evaluation import Journal, Measured
    from poa_mm.evaluation.knn.dense_networks import DenseRow
    from poa_mm.evaluation.knn.mask_data import MaskedImages

OUTPUTS = ('dense_knn.csv', 'frontier.png', 'heatmap.png')
JOURNAL = 'dense_knn_unfinished.jsonl'
FOLDERS = ('train_images', 'train_masks', 'test_images', 'test_masks')


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, usage='%(prog)s WHAT [options]', formatter_class=command_line.formatter
    )
    add = parser.add_argument
    add('--train-images', metavar='DIR', required=True, help='images whose patches vote')
    add('--train-masks', metavar='DIR', required=True, help='their masks, with the same names')
    add('--test-images', metavar='DIR', required=True, help='images to segment')
    add('--test-masks', metavar='DIR', required=True, help='their masks')
    add('--ignore', type=int, nargs='+', default=[255], metavar='LABEL', help='(default: 255)')
    add('--k', type=int, nargs='+', default=[30], help='neighbours (default: 30)')
    add('--temperature', type=float, default=0.02, help='of the votes (default: 0.02)')
    add('--max-patches', type=int, metavar='N', help='in the bank, drawn evenly (default: all)')
    command_line.add_baselines(parser)
    command_line.add_shared(parser, batch_size=16, labelled=False)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    return cli.run(evaluate, parse_args(argv))


def evaluate(args: argparse.Namespace) -> None:
    command_line.check(args, 'dense_knn', OUTPUTS, JOURNAL)
    for folder in FOLDERS:
        check_folder(getattr(args, folder))
    if any(not 0 <= label <= 255 for label in args.ignore):
        raise ValueError(f'--ignore takes labels of 0…255, got {args.ignore}')
    from rich.console import Console

    from poa_mm.evaluation import append_results
    from poa_mm.evaluation.knn.dense_networks import DenseKnn, dense_results
    from poa_mm.evaluation.knn.dense_run import dense_rows
    from poa_mm.evaluation.ranks import is_first
    from poa_mm.tables import save_csv

    measured = command_line.open_networks(args)
    train, test = open_images(args, measured)
    evaluator = DenseKnn(
        train,
        test,
        k=args.k,
        temperature=args.temperature,
        max_patches=args.max_patches,
        batch_size=args.batch_size,
        num_workers=args.workers,
        max_memory=args.max_memory,
        shared=True,
    )
    console = Console(quiet=not is_first())
    data = (
        f'{len(test)} images of {train.num_classes} classes from {args.test_images}, segmented by '
        f'the patches of {len(train)} from {args.train_images}'
    )
    console.print(f'dense k-NN on {data}', soft_wrap=True)
    args.out_dir.mkdir(parents=True, exist_ok=True)
    journal = open_journal(args, measured, train, test) if is_first() else None
    fresh = dense_rows(evaluator, measured, journal, args.baselines)
    if journal is None:
        list(fresh)
        return
    rows = save_csv(fresh, args.out_dir / OUTPUTS[0])
    report(args, rows, data, console)
    results = args.out_dir / 'results.jsonl'
    append_results(results, dense_results(rows, measured, train, test, settings(args, measured)))
    console.print(f'results: {results}', soft_wrap=True)
    journal.close()


def open_images(
    args: argparse.Namespace, measured: 'Measured'
) -> tuple['MaskedImages', 'MaskedImages']:
    from poa_mm.evaluation.knn.mask_data import MaskedImages, label_numbers, pair_masks

    train = pair_masks(args.train_images, args.train_masks)
    test = pair_masks(args.test_images, args.test_masks)
    numbers = label_numbers([*train, *test], args.ignore)
    return (
        MaskedImages(train, measured.preprocessing, numbers),
        MaskedImages(test, measured.preprocessing, numbers),
    )


def open_journal(
    args: argparse.Namespace, measured: 'Measured', train: 'MaskedImages', test: 'MaskedImages'
) -> 'Journal':
    from poa_mm.evaluation import Journal

    about = {
        'checkpoint': measured.source_sha256,
        'data set': f'{train.sha256} {test.sha256}',
        'k': args.k,
        'baselines': args.baselines,
        **settings(args, measured),
    }
    return Journal(args.out_dir / JOURNAL, about, args.overwrite)


def report(args: argparse.Namespace, rows: list['DenseRow'], data: str, console: Any) -> None:
    from rich.table import Table

    from poa_mm.evaluation.baselines import lines_of
    from poa_mm.visualization import plot_frontier, plot_heat_map

    table = Table('network', 'name', title='Dense k-NN, mIoU (%)')
    for column in ('params (M)', *(f'k = {k}' for k in rows[0].ious)):
        table.add_column(column, justify='right')
    for row in rows:
        table.add_row(row.subnet, row.name, f'{row.params / 1e6:.2f}', *texts(row.ious))
    for name in rows[0].baselines:
        for row in rows if name == 'untrained' else rows[:1]:
            network = row.subnet if name == 'untrained' else 'pixels'
            table.add_row(network, name, '', *texts(row.baselines[name]), style='dim')
    console.print(table)
    console.print(f'table:   {args.out_dir / OUTPUTS[0]}', soft_wrap=True)
    if rows[0].width:  # sub-networks
        title, label = fill(f'Dense k-NN on {data}', 90), f'mIoU (%), k = {max(rows[0].ious)}'
        most = max(rows[0].ious)
        lines = {name: [row.baselines[name][most] for row in rows] for name in rows[0].baselines}
        plot_frontier(rows, args.out_dir / OUTPUTS[1], lines_of(lines), title, label)
        plot_heat_map(rows, args.out_dir / OUTPUTS[2], title=title, label=label)
        console.print(f'plots:   {args.out_dir / OUTPUTS[1]}', soft_wrap=True)
        console.print(f'         {args.out_dir / OUTPUTS[2]}', soft_wrap=True)


def texts(ious: dict[int, float]) -> list[str]:
    return [f'{value:.1f}' for value in ious.values()]


def settings(args: argparse.Namespace, measured: 'Measured') -> dict[str, Any]:
    """What can change the numbers, beside k."""
    return {
        **{name: getattr(args, name) for name in ('temperature', 'max_patches', 'ignore', 'dtype')},
        'branch': measured.branch,
        'preparation': str(measured.preprocessing),
    }


if __name__ == '__main__':
    sys.exit(main())
