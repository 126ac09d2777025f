"""Measure the k-NN accuracy of networks: table, CSV file, plots, results."""

import argparse
import sys
from textwrap import fill
from typing import TYPE_CHECKING, Any

from poa_mm import cli
from poa_mm.evaluation import command_line

if TYPE_CHECKING:
    from poa_mm.evaluation import Journal, KnnEvaluator, KnnRow, LabelledData, Measured

OUTPUTS = ('knn.csv', 'frontier.png', 'heatmap.png')
JOURNAL = 'knn_unfinished.jsonl'
# What options are where they are not given. 'official': as the authors' code has it.
DEFAULTS = {'temperature': 0.07, 'average': 'micro', 'feature': 'cls'}
PRESETS = {
    None: DEFAULTS,
    'paper': {**DEFAULTS, 'k': [10, 20, 100, 200]},
    'official': {**DEFAULTS, 'k': [10, 20, 100, 200], 'dtype': 'float16'},
}


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, usage='%(prog)s WHAT [options]', formatter_class=command_line.formatter
    )
    add = parser.add_argument
    add('--k', type=int, nargs='+', help='default: those of 10 20 100 200 that fit')
    add('--temperature', type=float, metavar='T', help='of the votes (default: 0.07)')
    add('--feature', choices=['cls', 'mean'], help='class token or mean patch token')
    add('--average', choices=['micro', 'macro'], help='over images (default) or classes')
    add(
        '--per-class',
        type=int,
        nargs='+',
        default=[],
        metavar='N',
        help='few-shot banks of N images',
    )
    add(
        '--draws', type=int, default=5, metavar='N', help='few-shot banks of each size (default: 5)'
    )
    add('--preset', choices=['official', 'paper'], help='settings of the authors, of the paper')
    add('--bank', choices=['float32', 'float16'], default='float32', help='type of features')
    command_line.add_baselines(parser)
    command_line.add_shared(parser)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    return cli.run(evaluate, parse_args(argv))


def evaluate(args: argparse.Namespace) -> None:
    for option, value in PRESETS[args.preset].items():
        if getattr(args, option) is None:
            setattr(args, option, value)
    command_line.check(args, 'knn', OUTPUTS, JOURNAL)
    from rich.console import Console

    from poa_mm.evaluation.knn.run import resumed_rows
    from poa_mm.evaluation.ranks import is_first
    from poa_mm.tables import save_csv

    measured = command_line.open_networks(args)
    data = command_line.open_data(args, measured)
    evaluator = build_evaluator(args, measured, data)
    console = Console(quiet=not is_first())
    console.print(f'k-NN on {data}', soft_wrap=True)
    args.out_dir.mkdir(parents=True, exist_ok=True)
    journal = open_journal(args, measured, evaluator) if is_first() else None
    if journal is not None and journal.done:
        there = sum(network.name in journal.done for network in measured.networks)
        console.print(f'going on: {there} of {len(measured.networks)} networks are there')
    rows = resumed_rows(evaluator, measured, journal, args.feature, args.baselines)
    if journal is not None:
        report(args, save_csv(rows, args.out_dir / OUTPUTS[0]), evaluator, measured, console)
        journal.close()
    else:
        list(rows)


def build_evaluator(
    args: argparse.Namespace, measured: 'Measured', data: 'LabelledData'
) -> 'KnnEvaluator':
    import torch
    from mmengine import dist

    from poa_mm.evaluation import KnnEvaluator

    return KnnEvaluator.of(
        data,
        k=args.k,
        temperature=args.temperature,
        batch_size=args.batch_size,
        num_workers=args.workers,
        device=args.device,
        dtype=measured.dtype,
        max_memory=args.max_memory,
        average=args.average,
        per_class=args.per_class,
        draws=args.draws,
        bank_dtype=getattr(torch, args.bank),
        shared=dist.get_world_size() > 1,
        store=command_line.open_store(args, measured, data, (args.feature,), args.bank),
    )


def settings(args: argparse.Namespace, measured: 'Measured') -> dict[str, Any]:
    """What can change the numbers, beside k, temperature and kind of feature."""
    told: dict[str, Any] = {'dtype': args.dtype}
    if measured.branch:
        told['branch'] = measured.branch
    if args.bank != 'float32':
        told['bank'] = args.bank
    return told


def open_journal(
    args: argparse.Namespace, measured: 'Measured', evaluator: 'KnnEvaluator'
) -> 'Journal':
    from poa_mm.evaluation import Journal

    about = {
        'checkpoint': measured.source_sha256,
        'data set': evaluator.labelled.both_sha256,
        'preparation of images': evaluator.labelled.settings,
        'k': list(evaluator.k),
        **{name: getattr(args, name) for name in ('temperature', 'feature', 'average')},
        **{name: getattr(args, name) for name in ('per_class', 'draws', 'baselines')},
        **settings(args, measured),
    }
    return Journal(args.out_dir / JOURNAL, about, args.overwrite)


def report(
    args: argparse.Namespace,
    rows: list['KnnRow'],
    evaluator: 'KnnEvaluator',
    measured: 'Measured',
    console: Any,
) -> None:
    from poa_mm.evaluation import append_results, knn_table
    from poa_mm.evaluation.knn.benchmark import results_of_rows
    from poa_mm.visualization import plot_frontier, plot_heat_map

    console.print(knn_table(rows))
    table, frontier, heat_map = (args.out_dir / name for name in OUTPUTS)
    written = {'all k': table}
    if rows[0].width:  # sub-networks
        title = fill(f'k-NN on {evaluator.data}', 90)
        label = f'k-NN top-1 accuracy (%), k = {rows[0].k}'
        plot_frontier(rows, frontier, baselines(rows), title, label)
        plot_heat_map(rows, heat_map, title, label)
        written |= {'plots': frontier, '': heat_map}
    written['results'] = args.out_dir / 'results.jsonl'
    append_results(
        written['results'],
        results_of_rows(
            rows, evaluator, measured.source, measured.source_sha256, settings(args, measured)
        ),
    )
    for what, path in written.items():
        console.print(f'{what + ":" if what else "":8} {path}', soft_wrap=True)


def baselines(rows: list['KnnRow']) -> dict[str, float | list[float]]:
    from poa_mm.evaluation.baselines import lines_of

    values = {'untrained': [row.untrained for row in rows if row.untrained is not None]}
    for kind in rows[0].pixels or {}:
        values[f'{kind}_pixels'] = [row.pixels[kind] for row in rows if row.pixels]
    return lines_of({name: found for name, found in values.items() if found})


if __name__ == '__main__':
    sys.exit(main())
