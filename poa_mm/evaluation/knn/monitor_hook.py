"""k-NN accuracy of sub-networks while they train."""

import csv
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine import dist
from mmengine.hooks import Hook
from mmengine.runner import Runner

from poa_mm.elastic import Subnet
from poa_mm.engine.hooks.poa_hook import pretraining_of
from poa_mm.evaluation.features import FEATURES
from poa_mm.evaluation.knn.evaluator import KnnEvaluator
from poa_mm.models.backbones import ElasticBackbone
from poa_mm.registry import HOOKS
from poa_mm.screen import tell

COLUMNS = ('iteration', 'subnet', 'k', 'accuracy')


@HOOKS.register_module()
class KnnMonitorHook(Hook):
    """Evaluate the teacher's sub-networks by weighted k-NN during training (Fig. 7).

    Of an algorithm that trains no teacher, SEED, it evaluates the student.

    The hook writes ``knn_curve.csv`` and ``knn_curve.png`` into the work dir, and scalars
    ``knn/<name>`` for TensorBoard. Each rank evaluates a part of the sub-networks. The hook does
    not change the training. The data sets are ``knn_train_dataset`` and ``knn_test_dataset`` of
    the config.

    Args:
        interval: Iterations between evaluations; the last iteration is always evaluated.
        subnets: Names of the sub-networks.
        k: Number of neighbours.
        feature: Kind of feature, of :data:`~poa_mm.evaluation.features.FEATURES`.
        max_train_images: Number of training images that vote, spread evenly over the data set. With
            many more, ranks without a sub-network can time out while they wait for the others.
        batch_size: Images per forward pass.
        num_workers: Processes that read images.

    Raises:
        ValueError: The interval is below 1, the feature is unknown, or there is no sub-network;
            before training: sub-networks are unknown, or the config has no labelled data sets.
    """

    priority = 'LOW'  # after the teacher's update, before the checkpoint

    def __init__(
        self,
        interval: int,
        subnets: Sequence[str] = ('smallest', 'largest'),
        k: int = 20,
        feature: str = 'cls',
        max_train_images: int | None = 100_000,
        batch_size: int = 256,
        num_workers: int = 2,
    ) -> None:
        if interval < 1:
            raise ValueError(f'interval must be at least 1, got {interval}')
        if feature not in FEATURES:
            raise ValueError(f'feature must be one of {tuple(FEATURES)}, got {feature!r}')
        if not subnets or isinstance(subnets, str):
            raise ValueError(f'subnets must be a list of names, got {subnets!r}')
        self.interval = interval
        self.names = tuple(subnets)
        self.k = k
        self.feature = feature
        self.settings: dict[str, Any] = {
            'k': (k,),
            'max_train_images': max_train_images,
            'batch_size': batch_size,
            'num_workers': num_workers,
        }

    def before_train(self, runner: Runner) -> None:
        """Find the sub-networks and build the data sets."""
        space = pretraining_of(runner, self).backbone.space
        self.subnets = {name: space.resolve(name) for name in self.names}
        device = next(runner.model.parameters()).device
        dtype = torch.bfloat16 if device.type == 'cuda' else torch.float32
        self.evaluator = KnnEvaluator.from_config(
            runner.cfg, device=device, dtype=dtype, progress=False, **self.settings
        )
        tell(runner.logger, f'k-NN monitor: {self.evaluator.data}')
        self.csv_path = Path(runner.work_dir) / 'knn_curve.csv'
        # Drop the rows that a resumed run computes again.
        rows = _read(self.csv_path) if runner.iter else []
        self.rows = [row for row in rows if row[0] <= runner.iter]

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Evaluate at every interval and after the last iteration."""
        iteration = runner.iter + 1
        if iteration % self.interval and iteration != runner.max_iters:
            return
        accuracies = self._evaluate(pretraining_of(runner, self).result)
        self.rows += [(iteration, name, self.k, accuracies[name]) for name in self.names]
        if dist.is_main_process():
            self._report(runner, iteration, accuracies)

    def _evaluate(self, backbone: ElasticBackbone) -> dict[str, float]:
        """Evaluate on all ranks; return accuracies in percent by name, the same on all ranks."""
        world_size, rank = dist.get_world_size(), dist.get_rank()
        mine: list[Subnet] = list(dict.fromkeys(self.subnets.values()))[rank::world_size]
        with torch.random.fork_rng(devices=[]):  # loaders draw a seed from the global state
            results = list(self.evaluator.evaluate(backbone, mine, (self.feature,)) if mine else ())
        gathered = dist.all_gather_object(
            {subnet: by_kind[self.feature][self.k] for subnet, by_kind in results}
        )
        by_subnet = {subnet: value for part in gathered for subnet, value in part.items()}
        return {name: by_subnet[subnet] for name, subnet in self.subnets.items()}

    def _report(self, runner: Runner, iteration: int, accuracies: dict[str, float]) -> None:
        model = pretraining_of(runner, self)
        branch = 'student' if model.result is model.backbone else 'teacher'
        scalars = {f'knn/{name}': accuracy for name, accuracy in accuracies.items()}
        runner.visualizer.add_scalars(scalars, step=iteration)
        text = ', '.join(f'{name} {accuracy:.1f}' for name, accuracy in accuracies.items())
        tell(runner.logger, f'k-NN accuracy (%) of the {branch}, k = {self.k}: {text}')
        _write(self.rows, self.csv_path)
        from poa_mm.visualization import plot_training_curve  # imports matplotlib

        curves: dict[str, list[tuple[int, float]]] = defaultdict(list)
        for number, name, _, accuracy in self.rows:
            curves[name].append((number, accuracy))
        plot_training_curve(
            curves, self.csv_path.with_suffix('.png'), f'k-NN top-1 accuracy (%), k = {self.k}'
        )


Row = tuple[int, str, int, float]


def _read(path: Path) -> list[Row]:
    if not path.exists():
        return []
    with path.open(newline='', encoding='utf-8') as file:
        return [
            (int(row['iteration']), row['subnet'], int(row['k']), float(row['accuracy']))
            for row in csv.DictReader(file)
        ]


def _write(rows: Sequence[Row], path: Path) -> None:
    """Write all rows at once, so that the file is complete at any time."""
    partial = path.with_name(f'{path.name}.partial')
    with partial.open('w', newline='', encoding='utf-8') as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows((*row[:3], f'{row[3]:.3f}') for row in rows)
    partial.replace(path)
