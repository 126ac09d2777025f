"""Train one run with one seed, or go on with it, measure it, and append it to the record.

What run.py starts, a process for each run.
"""

import argparse
import fcntl
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from manifest import RUNS, Run
from record import Row, append_rows, current, done, read_rows
from runs import build_config, config_hash, final_checkpoint, image_folder

from poa_mm import cli

if TYPE_CHECKING:
    from mmengine.config import Config

FEATURES, K = ('cls', 'mean'), 20


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('run', choices=RUNS, metavar='RUN', help='name in manifest.py')
    parser.add_argument('seed', type=int)
    parser.add_argument(
        'folder', type=Path, help='with learn.txt and test.txt; checkpoints go here'
    )
    parser.add_argument('record', type=Path, help='CSV file')
    parser.add_argument('data', help='hash of the images')
    parser.add_argument('--steps', type=int, help='in place of those of the manifest')
    cli.add_traceback(parser)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Train and measure."""
    return cli.run(train_and_measure, parse_args(argv))


def train_and_measure(args: argparse.Namespace) -> None:
    """Do what the command line says."""
    import torch

    torch.set_num_threads(1)
    run = with_steps(RUNS[args.run], args.steps)
    cfg = build_config(run, args.seed, image_folder(), args.folder)
    config = config_hash(cfg)
    # A changed run starts in a folder of its own, so nothing goes on from what it was.
    cfg.work_dir = str(args.folder / f'{args.run}-seed{args.seed}-{config}')
    with locked(Path(f'{cfg.work_dir}.lock')) as mine:
        there = done(current(read_rows(args.record), {args.run: config}, args.data))
        if not mine or (args.run, args.seed) in there:  # of another runner beside this one
            print('done, or being done, by another process')
            return
        rows = list(results(args, run, cfg, config))
        append_rows(args.record, rows)


def results(args: argparse.Namespace, run: Run, cfg: 'Config', config: str) -> Iterator[Row]:
    """Train, measure, and yield all numbers of the run."""
    start, resumed = time.monotonic(), Path(cfg.work_dir).exists()
    found = {('', 'gflop'): gflop(cfg)} if run.steps and not run.teacher else {}
    if run.teacher:
        train_teacher(run.teacher, args)
    checkpoint = train(cfg) if run.steps else None
    found |= dict(measure(cfg, run, checkpoint, args.seed))
    if not resumed:  # else this process has seen a part of it
        found['', 'minutes'] = (time.monotonic() - start) / 60
    for (network, metric), value in found.items():
        yield Row(args.run, args.seed, network, metric, value, run.steps, config, args.data)


@contextmanager
def locked(path: Path, wait: bool = False) -> Iterator[bool]:
    """Hold a file locked; tell whether it was free, or wait until it is."""
    with path.open('a') as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
        else:
            yield True


def with_steps(run: Run, steps: int | None) -> Run:
    """Return the run with another length, unless it is of random weights."""
    return replace(run, steps=steps) if steps and run.steps else run


def train(cfg: 'Config') -> Path:
    """Train, from the last checkpoint if there is one; return the final one."""
    from poa_mm.engine import launch

    final = Path(cfg.work_dir) / f'iter_{cfg.train_cfg.max_iters}.pth'
    if not final.is_file():
        launch.set_resume(cfg, 'auto')
        launch.build_runner(cfg).train()
    return final


def train_teacher(name: str, args: argparse.Namespace) -> None:
    """Train the run that teaches, unless its checkpoint is there; its record stays as it is."""
    images = image_folder()
    folder = final_checkpoint(name, args.seed, images, args.folder).parent
    cfg = build_config(RUNS[name], args.seed, images, args.folder)
    cfg.work_dir = str(folder)
    with locked(Path(f'{folder}.lock'), wait=True):
        train(cfg)


def gflop(cfg: 'Config') -> float:
    """Count the GFLOP of an image in a training step, the mean over drawn sub-networks."""
    from poa_mm.selection.step_cost import batch_of, expected_step_cost, model_on_meta

    return expected_step_cost(model_on_meta(cfg), batch_of(cfg)).flops / 1e9


def measure(
    cfg: 'Config', run: Run, checkpoint: Path | None, seed: int
) -> Iterator[tuple[tuple[str, str], float]]:
    """Yield k-NN accuracies by network and feature: of the teacher, or of random weights."""
    import poa_mm
    from poa_mm.checkpoints.build import build_on_meta
    from poa_mm.evaluation import KnnEvaluator
    from poa_mm.evaluation.baselines import untrained_backbone

    evaluator = KnnEvaluator.from_config(cfg, k=(K,), progress=False)
    if checkpoint is not None:
        backbone = poa_mm.load_supernet(checkpoint)
    else:
        backbone = untrained_backbone(build_on_meta(dict(cfg.model.backbone)), seed)
        for kind, accuracies in evaluator.pixels().items():
            for feature in FEATURES:
                yield (f'{kind} pixels', feature), accuracies[K]
    subnets = [backbone.space.resolve(name) for name in run.networks]
    for subnet, by_feature in evaluator.evaluate(backbone, subnets, FEATURES):
        for feature, accuracies in by_feature.items():
            yield (str(subnet), feature), accuracies[K]


if __name__ == '__main__':
    sys.exit(main())
