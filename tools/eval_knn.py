"""Measure the k-NN accuracy of a checkpoint's sub-networks: table, CSV file, plot, results."""

import argparse
import sys
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING

import poa_mm
from poa_mm import cli
from poa_mm.files import check_file, check_free

if TYPE_CHECKING:
    from mmengine.config import Config

    from poa_mm.evaluation import KnnEvaluator, KnnRow
    from poa_mm.models.backbones import ElasticBackbone

MEMORY_HELP = 'for features; the more, the fewer passes over the images (default: 8)'
DTYPES = ('float32', 'float16', 'bfloat16')


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, usage='%(prog)s CHECKPOINT [options]')
    add = parser.add_argument
    add('checkpoint', type=Path, help='training checkpoint')
    add('--subnets', default='all', help='all (default), named, or names: vit-s,w448-d13')
    add('--baselines', action='store_true', help='also evaluate random weights and raw pixels')
    add('--branch', choices=['teacher', 'student'], default='teacher')
    add('--feature', choices=['cls', 'mean'], default='cls', help='class token or mean patch token')
    add('--k', type=int, nargs='+', help='neighbours (default: those of 10 20 100 200 that fit)')
    add('--temperature', type=float, default=0.07, help='of the votes (default: 0.07)')
    add('--batch-size', type=int, default=256)
    add('--workers', type=int, default=2, help='processes that read images')
    cli.add_device(parser)
    add('--dtype', choices=DTYPES, help='of the networks (default: bfloat16 on GPUs, else float32)')
    add('--max-memory', type=float, default=8, metavar='GIB', help=MEMORY_HELP)
    add('--out-dir', type=Path, help='default: knn_CHECKPOINT beside the checkpoint')
    cli.add_overwrite(parser)
    cli.add_labelled_data(parser, 'your own images, a sub-folder for each class: these vote')
    add('--config', help="config with the data sets (default: the checkpoint's own)")
    cli.add_cfg_options(parser, 'knn_train_dataset.data_root=/data/train')
    cli.add_traceback(parser)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    return cli.run(evaluate, parse_args(argv))


def evaluate(args: argparse.Namespace) -> None:
    check_file(args.checkpoint, 'checkpoint')
    if args.config:
        check_file(args.config, 'config')
    args.out_dir = args.out_dir or cli.beside(args.checkpoint, 'knn')
    csv_path, plot_path = args.out_dir / 'knn.csv', args.out_dir / 'frontier.png'
    for path in (csv_path, plot_path):
        check_free(path, args.overwrite)
    own_data = cli.check_labelled_data(args)
    if own_data and (args.config or args.cfg_options):
        raise ValueError('--train-data goes without --config and --cfg-options')
    from rich.console import Console

    from poa_mm.elastic import select_subnets
    from poa_mm.evaluation import (
        append_results,
        knn_results,
        knn_rows,
        knn_table,
        untrained_backbone,
    )
    from poa_mm.tables import save_csv
    from poa_mm.visualization import plot_frontier

    backbone = poa_mm.load_supernet(args.checkpoint, args.branch)
    subnets = select_subnets(backbone.space, args.subnets)
    evaluator = build_evaluator(args, data_config(args, backbone if own_data else None))
    console = Console()
    console.print(f'k-NN on {evaluator.data}', soft_wrap=True)
    untrained = untrained_backbone(backbone) if args.baselines else None
    args.out_dir.mkdir(parents=True, exist_ok=True)
    rows = save_csv(knn_rows(evaluator, backbone, subnets, args.feature, untrained), csv_path)
    plot_frontier(rows, plot_path, _baselines(rows), title=fill(f'k-NN on {evaluator.data}', 90))
    console.print(knn_table(rows))
    results_path = args.out_dir / 'results.jsonl'
    append_results(results_path, knn_results(rows, evaluator, args.checkpoint, args.branch))
    console.print(
        f'all k:   {csv_path}\nplot:    {plot_path}\nresults: {results_path}', soft_wrap=True
    )


def build_evaluator(args: argparse.Namespace, cfg: 'Config') -> 'KnnEvaluator':
    import torch

    from poa_mm.evaluation import KnnEvaluator

    device = args.device or cli.default_device()
    dtype = args.dtype or ('bfloat16' if device.type == 'cuda' else 'float32')
    return KnnEvaluator.from_config(
        cfg,
        k=args.k,
        temperature=args.temperature,
        batch_size=args.batch_size,
        num_workers=args.workers,
        device=device,
        dtype=getattr(torch, dtype),
        max_memory=args.max_memory,
    )


def data_config(args: argparse.Namespace, backbone: 'ElasticBackbone | None') -> 'Config':
    """Load the config with the data sets, or with the user's own folders for a backbone."""
    from poa_mm.checkpoints import load_config
    from poa_mm.checkpoints.config_file import read_config
    from poa_mm.checkpoints.preprocessing import preprocessing_of
    from poa_mm.engine.config_check import override
    from poa_mm.evaluation.knn_evaluator import KNN_SETTINGS
    from poa_mm.evaluation.labelled_folders import use_labelled_folders

    cfg = read_config(args.config) if args.config else load_config(args.checkpoint)
    override(cfg, cli.read_cfg_options(args.cfg_options), read=KNN_SETTINGS)
    if backbone is not None:
        use_labelled_folders(cfg, args.train_data, args.test_data, preprocessing_of(backbone, cfg))
    return cfg


def _baselines(rows: list['KnnRow']) -> dict[str, float | list[float]]:
    untrained = [row.untrained for row in rows if row.untrained is not None]
    if not untrained or rows[0].pixels is None:
        return {}
    pixels = {f'{kind} pixels': accuracy for kind, accuracy in rows[0].pixels.items()}
    return {'untrained network': untrained, **pixels}


if __name__ == '__main__':
    sys.exit(main())
