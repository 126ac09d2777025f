"""Accuracy of networks on images with dropped or shuffled patches: table, CSV, plot, results.

With --in9, also on the backgrounds of ImageNet-9.
"""

import argparse
import sys
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any

from poa_mm import cli
from poa_mm.evaluation import command_line
from poa_mm.files import check_file, check_folder

if TYPE_CHECKING:
    from collections.abc import Callable

    from poa_mm.evaluation import FeatureReader, LabelledData, Measured
    from poa_mm.evaluation.robustness.classifiers import Classifier
    from poa_mm.evaluation.robustness.resumed import BatchJournals

OUTPUTS = ('robustness.csv', 'robustness.png', 'in9.csv')
JOURNAL = 'robustness_unfinished.jsonl'


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, usage='%(prog)s WHAT [options]', formatter_class=command_line.formatter
    )
    add = parser.add_argument
    add('--k', type=int, help='neighbours (default: 20, if so many)')
    add('--heads', type=Path, metavar='DIR', help="classify by eval_linear's heads, not by k-NN")
    add('--drop-grid', type=int, metavar='N', help='N x N patches (default: 14 if it divides)')
    add('--repeats', type=int, default=1, help='with other patches (default: 1)')
    add('--seed', type=int, help='of the patches (default: 0)')
    add('--preset', choices=['official'], help="patches and resizing of the authors' code")
    add('--in9', metavar='DIR', help='unpacked archive of the backgrounds challenge')
    add('--in-to-in9', type=Path, metavar='FILE', help='its in_to_in9.json')
    add('--challenge', action='store_true', help='also try all backgrounds; takes long')
    command_line.add_baselines(parser)
    command_line.add_shared(parser)
    parser.set_defaults(batch_size=None)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    return cli.run(evaluate, parse_args(argv))


def evaluate(args: argparse.Namespace) -> None:
    command_line.check(args, 'robustness', OUTPUTS, JOURNAL)
    for option in ('k', 'drop_grid', 'repeats'):
        value = getattr(args, option)
        if value is not None and value < 1:
            raise ValueError(f'--{option.replace("_", "-")} must be positive, got {value}')
    if args.preset and args.seed is not None:
        raise ValueError("--preset official has the authors' seed: leave out --seed")
    if args.heads is not None:
        check_folder(args.heads)
        if args.k is not None:
            raise ValueError('--k is of k-NN, --heads takes heads of a linear probe: give one')
        if args.baselines:
            raise ValueError(
                '--baselines are measured by k-NN, --heads are trained for networks alone: give one'
            )
    if args.in9 is not None:
        check_folder(args.in9)
    if args.in_to_in9 is not None:
        check_file(args.in_to_in9, 'mapping to the classes of ImageNet-9')
    if (args.challenge or args.in_to_in9) and args.in9 is None:
        raise ValueError('--challenge and --in-to-in9 go with --in9')
    from rich.console import Console
    from rich.progress import track

    from poa_mm.evaluation.labelled_data import LabelledData
    from poa_mm.evaluation.ranks import is_first
    from poa_mm.evaluation.robustness.baselines import PredictionBesideBaselines
    from poa_mm.evaluation.robustness.curves import Drawing, corruptions, finest_grid
    from poa_mm.evaluation.robustness.official import BATCH_SIZE, use_official_resize
    from poa_mm.evaluation.robustness.resumed import resumed_accuracies
    from poa_mm.evaluation.robustness.run import Prediction, robustness_rows
    from poa_mm.tables import save_csv

    drawing = Drawing.official() if args.preset else Drawing(args.seed or 0)
    args.batch_size = args.batch_size or (BATCH_SIZE if args.preset else 256)
    measured = command_line.open_networks(args)
    size = measured.preprocessing.image_size
    grid = args.drop_grid or finest_grid(size)
    listed = corruptions(size, (grid, grid))
    if not any(one.kind == 'occlusion' for one in listed):
        raise ValueError(
            f'--drop-grid {grid} does not divide images of {size[0]} × {size[1]} pixels; '
            f'take {finest_grid(size)}'
        )
    cfg = command_line.data_config(args, measured)
    resized = use_official_resize(cfg, size) if args.preset else None
    data = LabelledData.from_config(cfg)
    reader, classifiers, classifier = open_classifiers(args, measured, data)
    console = Console(quiet=not is_first())
    console.print(f'robustness on {data}', soft_wrap=True)
    if args.preset:
        images = f'resized {resized}' if resized else 'not resized, as in the config'
        together = f'patches drawn once for {args.batch_size} images (seed {drawing.seed})'
        console.print(f'official: {together}, test images {images}', soft_wrap=True)
        if args.heads is None:
            console.print("note: the authors' classifiers are linear heads: see --heads")
    args.out_dir.mkdir(parents=True, exist_ok=True)
    told = {
        'classifier': classifier,
        'repeats': args.repeats,
        'seed': drawing.seed,
        'patches drawn for': 'an image' if drawing.per_image else 'a batch',
        'batch_size': 'any' if drawing.per_image else args.batch_size,
        'preset': args.preset or 'default',
        'resized': resized or 'as in the config',
        'dtype': args.dtype,
        'branch': measured.branch,
    }
    journals = open_journals(args, measured, data, {**told, 'grid': grid})
    if journals.done:
        console.print(f'going on: {len(journals.done)} batches of test images are there')
    predict = Prediction(measured, classifiers())
    beside = PredictionBesideBaselines(predict, reader, args.k) if args.baselines else predict

    def show(batches: Any, total: int) -> Any:
        return track(batches, f'{len(listed)} corruptions', total, disable=not is_first())

    found = resumed_accuracies(reader, listed, beside, journals, drawing, args.repeats, show)
    if not is_first():
        return
    rows = save_csv(robustness_rows(found, measured.networks), args.out_dir / OUTPUTS[0])
    report(args, rows, measured, reader, told, console)
    if args.in9 is not None:
        backgrounds(args, measured, reader, predict, told, console)
    journals.close()


def open_journals(
    args: argparse.Namespace, measured: 'Measured', data: 'LabelledData', told: dict[str, Any]
) -> 'BatchJournals':
    from poa_mm.evaluation.results import file_sha256
    from poa_mm.evaluation.robustness.classifiers import HEADS
    from poa_mm.evaluation.robustness.resumed import BatchJournals

    heads = sorted((args.heads / HEADS).glob('*.seed*.pth')) if args.heads else []
    about = {
        'checkpoint': measured.source_sha256,
        'networks': [network.name for network in measured.networks],
        'data set': data.both_sha256,
        'preparation of images': data.settings,
        'heads': {path.name: file_sha256(path) for path in heads},
        **told,
        'baselines': args.baselines,
        'batch_size': args.batch_size,  # batches are what is kept
    }
    return BatchJournals(args.out_dir / JOURNAL, about, args.overwrite)


def open_classifiers(
    args: argparse.Namespace, measured: 'Measured', data: 'LabelledData'
) -> tuple['FeatureReader', 'Callable[[], dict[str, Classifier]]', str]:
    """Return a reader of the images, what makes classifiers, and what they are in words."""
    from functools import partial

    from mmengine import dist

    from poa_mm.evaluation import FeatureReader
    from poa_mm.evaluation.robustness.classifiers import head_classifiers, knn_classifiers

    settings: dict[str, Any] = {
        'batch_size': args.batch_size,
        'num_workers': args.workers,
        'device': measured.device,
        'max_memory': args.max_memory,
        'shared': dist.get_world_size() > 1,
    }
    if args.heads is not None:
        heads = head_classifiers(args.heads, measured, data)
        return FeatureReader(data, **settings, splits=['test']), lambda: heads, 'linear probe'
    store = command_line.open_store(args, measured, data)
    reader = FeatureReader(data, **settings, store=store, splits=['train'])
    args.k = args.k or min(20, len(data.train))
    told = f'k-NN on clean images, k = {args.k}'
    return reader, partial(knn_classifiers, reader, measured, args.k), told


def report(
    args: argparse.Namespace,
    rows: list[Any],
    measured: 'Measured',
    reader: 'FeatureReader',
    told: dict[str, Any],
    console: Any,
) -> None:
    from poa_mm.evaluation.results import append_new
    from poa_mm.evaluation.robustness.run import (
        baseline_curves,
        curves,
        robustness_results,
        robustness_table,
    )
    from poa_mm.visualization import plot_robustness

    classes = len(reader.data.test.metainfo['classes'])
    title = fill(f'{told["classifier"]}, on {reader.data}', 110)
    console.print(robustness_table(rows, f'accuracy (%), {told["classifier"]}'))
    table, plot = (args.out_dir / name for name in OUTPUTS[:2])
    dropped, shuffled = (curves(rows, kind) for kind in ('occlusion', 'shuffle'))
    plot_robustness(plot, dropped, shuffled, title, 100 / classes, baseline_curves(rows))
    results = args.out_dir / 'results.jsonl'
    append_new(results, robustness_results(rows, measured, reader, told))
    for what, path in {'table': table, 'plot': plot, 'results': results}.items():
        console.print(f'{what + ":":8} {path}', soft_wrap=True)


def backgrounds(
    args: argparse.Namespace,
    measured: 'Measured',
    reader: 'FeatureReader',
    predict: Any,
    told: dict[str, Any],
    console: Any,
) -> None:
    from poa_mm.evaluation.results import append_new
    from poa_mm.evaluation.robustness.in9_run import in9_results, in9_rows, in9_table
    from poa_mm.tables import save_csv

    rows = save_csv(
        in9_rows(
            args.in9, measured, reader, predict, args.in_to_in9, args.batch_size, args.challenge
        ),
        args.out_dir / OUTPUTS[2],
    )
    console.print(in9_table(rows))
    results = args.out_dir / 'results.jsonl'
    append_new(results, in9_results(rows, measured, reader, told))
    console.print(f'{"in9:":8} {args.out_dir / OUTPUTS[2]}', soft_wrap=True)


if __name__ == '__main__':
    sys.exit(main())
