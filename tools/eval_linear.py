#!/usr/bin/env python
"""Probe frozen networks linearly, with many heads at once; save the best ones."""

import argparse
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from poa_mm import cli
from poa_mm.evaluation import command_line
from poa_mm.files import check_free

if TYPE_CHECKING:
    from mmengine.config import Config
    from rich.console import Console

    from poa_mm.evaluation.labelled_data import LabelledData
    from poa_mm.evaluation.networks.measured import Measured
    from poa_mm.evaluation.probe.report import ProbeRow
    from poa_mm.evaluation.probe.run import ProbeRun
    from poa_mm.evaluation.probe.settings import ProbeSettings

PRESETS = ('default', 'official')
PRESET_HELP = "default, or official: the authors' settings"
SOURCES = {
    'last1': 'last 1',
    'last4': 'last 4',
    'last1+mean': 'last 1 + mean',
    'last4+mean': 'last 4 + mean',
}
CSV, HEADS, CLASSIFIERS = 'linear.csv', 'heads', 'classifiers'
PLOTS = ('frontier.png', 'heatmap.png')
ON_TEST = 'the head is chosen on the test images, as the authors did, so its accuracy is too high'


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, usage='%(prog)s WHAT [options]', formatter_class=command_line.formatter
    )
    add = parser.add_argument
    command_line.add_shared(parser)
    add('--preset', choices=PRESETS, default='default', metavar='P', help=PRESET_HELP)
    add('--classifier', choices=['sgd', 'logistic'], default='sgd')
    add('--sources', nargs='+', choices=SOURCES, metavar='S', help=f'of {" ".join(SOURCES)} (all)')
    add('--lrs', type=float, nargs='+', metavar='LR', help='for 256 images; scaled by the batch')
    add('--weight-decays', type=float, nargs='+', metavar='WD')
    add('--train-batch', type=int, metavar='B', help='images of a step')
    add('--epochs', type=int, metavar='N')
    add('--iterations', type=int, metavar='N', help='steps of an epoch (a pass, 100 or more)')
    add('--augment', action='store_true', help='train on random crops, not on centre crops')
    add('--seeds', type=int, nargs='+', default=[0], metavar='N', help='for mean and std (0)')
    command_line.add_baselines(parser)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    return cli.run(evaluate, parse_args(argv))


def evaluate(args: argparse.Namespace) -> None:
    command_line.check(args, 'linear', [CSV])
    if not (args.out_dir / HEADS).is_dir():  # otherwise they are of the run that goes on
        for name in PLOTS:
            check_free(args.out_dir / name, args.overwrite)
    settings = read_settings(args)
    from rich.console import Console
    from rich.progress import Progress

    from poa_mm.evaluation.labelled_data import LabelledData
    from poa_mm.evaluation.ranks import is_first

    measured = command_line.open_networks(args)
    cfg = command_line.data_config(args, measured)
    data = LabelledData.from_config(cfg)
    console = Console(quiet=not is_first())
    console.print(f'linear probe on {data}', soft_wrap=True)
    if settings.choose_on_test:
        console.print(f'note: {ON_TEST}', soft_wrap=True)
    with Progress(console=console, transient=True) as bars:
        task = bars.add_task('features')

        def show(text: str, done: int, steps: int) -> None:
            bars.update(task, description=text, completed=done, total=steps)

        run = build_run(args, measured, data, settings, show)
        rows = run.rows()
        baselines = run.baselines() if args.baselines else {}
    if is_first():
        report(args, run, cfg, rows, baselines, console)


def read_settings(args: argparse.Namespace) -> 'ProbeSettings':
    """Read the settings of the probe: those of the preset, and what the user changes."""
    from poa_mm.evaluation.probe.settings import OFFICIAL, ProbeSettings

    settings = OFFICIAL if args.preset == 'official' else ProbeSettings()
    changes: dict[str, Any] = {
        'lrs': args.lrs and tuple(args.lrs),
        'weight_decays': args.weight_decays and tuple(args.weight_decays),
        'sources': args.sources and tuple(SOURCES[name] for name in args.sources),
        'batch_size': args.train_batch,
        'epochs': args.epochs,
        'iterations': args.iterations,
        'augment': args.augment or None,
    }
    given = {name: value for name, value in changes.items() if value is not None}
    if args.classifier == 'logistic':
        if args.preset == 'official' or set(given) - {'sources'}:
            raise ValueError(
                '--classifier logistic takes --sources, and no --preset or settings of training'
            )
        given.setdefault('sources', (SOURCES['last1'],))
    if len(set(args.seeds)) < len(args.seeds) or min(args.seeds) < 0:
        raise ValueError(f'--seeds must be all different and not negative, got {args.seeds}')
    return replace(settings, **given)


def build_run(
    args: argparse.Namespace,
    measured: 'Measured',
    data: 'LabelledData',
    settings: 'ProbeSettings',
    progress: Callable[[str, int, int], object],
) -> 'ProbeRun':
    from mmengine import dist

    from poa_mm.evaluation.network_features import FeatureReader
    from poa_mm.evaluation.probe.run import ProbeRun
    from poa_mm.evaluation.probe.sources import PROBE

    reader = FeatureReader(
        data,
        args.batch_size,
        args.workers,
        measured.device,
        args.max_memory,
        shared=dist.get_world_size() > 1,
        store=None if settings.augment else command_line.open_store(args, measured, data, (PROBE,)),
        progress=False,
    )
    return ProbeRun.of(
        measured,
        data,
        settings,
        reader,
        args.out_dir / HEADS,
        overwrite=args.overwrite,
        classifier=args.classifier,
        seeds=args.seeds,
        batch_size=args.batch_size,
        num_workers=args.workers,
        max_memory=args.max_memory,
        progress=progress,
    )


def report(
    args: argparse.Namespace,
    run: 'ProbeRun',
    cfg: 'Config',
    rows: list['ProbeRow'],
    baselines: dict[str, dict[str, float]],
    console: 'Console',
) -> None:
    """Show the table; write the CSV file, classifiers and results."""
    from poa_mm.evaluation.probe.report import edge_note, probe_table
    from poa_mm.evaluation.probe.saving import save_classifiers
    from poa_mm.evaluation.results import append_new
    from poa_mm.tables import save_csv

    console.print(probe_table(rows, 'linear probe: top-1 accuracy (%)', baselines))
    results = args.out_dir / 'results.jsonl'
    append_new(results, run.results(rows, baselines))
    best = max(rows, key=lambda row: row.mean)
    saved = 0
    for network, config, checkpoint in save_classifiers(
        args.out_dir / CLASSIFIERS,
        run.measured,
        rows,
        run.classes,
        cfg.data_preprocessor,
        cfg.knn_test_dataset,
        args.max_disk * command_line.GIB,
    ):
        saved += 1
        if network == best.network:
            console.print(f'test:    python tools/test.py {config} {checkpoint}', soft_wrap=True)
    if rows[0].width:  # sub-networks
        plot(args, run, rows, baselines)
    # The last of the files: a run that has it is finished.
    save_csv(rows, args.out_dir / CSV)
    console.print(f'table:   {args.out_dir / CSV}\nresults: {results}', soft_wrap=True)
    if rows[0].width:
        for name in PLOTS:
            console.print(f'plot:    {args.out_dir / name}', soft_wrap=True)
    if saved:
        text = f'{saved} of {len(rows)} classifiers in {args.out_dir / CLASSIFIERS}'
        console.print(f'saved:   {text}', soft_wrap=True)
    if note := edge_note(rows):
        console.print(f'note: {note}', soft_wrap=True)


def plot(
    args: argparse.Namespace,
    run: 'ProbeRun',
    rows: list['ProbeRow'],
    baselines: dict[str, dict[str, float]],
) -> None:
    """Plot accuracy over size, and by width and depth."""
    from textwrap import fill

    from poa_mm.evaluation.baselines import lines_of
    from poa_mm.visualization import plot_frontier, plot_heat_map

    kind = 'linear probe' if args.classifier == 'sgd' else 'logistic regression'
    title, label = fill(f'{kind} on {run.data}', 90), f'{kind}, top-1 accuracy (%)'
    lines = lines_of(
        {
            name: [values.get(row.subnet, values.get(name, 0.0)) for row in rows]
            for name, values in baselines.items()
        }
    )
    frontier, heat_map = (args.out_dir / name for name in PLOTS)
    plot_frontier(rows, frontier, lines, title, label)
    plot_heat_map(rows, heat_map, title, label)


if __name__ == '__main__':
    sys.exit(main())
