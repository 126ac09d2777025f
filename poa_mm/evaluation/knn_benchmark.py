"""k-NN accuracy of a supernet's sub-networks, with untrained networks and pixels as baselines."""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from os import PathLike
from typing import cast

import torch
from mmengine.logging import MMLogger

from poa_mm.elastic import Depth, Subnet, well_known_name
from poa_mm.evaluation.features import FEATURES
from poa_mm.evaluation.knn_evaluator import Accuracies, KnnEvaluator
from poa_mm.evaluation.results import (
    LabelledImages,
    Result,
    data_name,
    data_sha256,
    file_sha256,
    versions,
)
from poa_mm.models.backbones import ElasticBackbone
from poa_mm.registry import ELASTIC_BACKBONES
from poa_mm.tables import depth_cell, headline_k

__all__ = ['KnnRow', 'knn_results', 'knn_rows', 'untrained_backbone']


@dataclass(frozen=True)
class KnnRow:
    """k-NN result of one sub-network.

    Args:
        subnet: The sub-network's identifier, such as ``'w384-d12'``.
        name: Its well-known name, or ''.
        width: Elastic width.
        depth: Elastic depth; a tuple for families with elastic stages.
        params: Number of parameters.
        feature: ``'cls'`` or ``'mean'``.
        accuracies: Top-1 accuracy in percent by k.
        untrained: Accuracy of the same sub-network with random weights, the higher one of its class
            token and its mean patch token; ``None`` if not evaluated.
        pixels: Accuracies of the pixels by kind, of
            :data:`~poa_mm.evaluation.features.PIXELS`, the same for all sub-networks; ``None`` if
            not evaluated.
    """

    subnet: str
    name: str
    width: int
    depth: Depth
    params: int
    feature: str
    accuracies: Mapping[int, float]
    untrained: float | None = None
    pixels: Mapping[str, float] | None = None

    @property
    def k(self) -> int:
        """The k of :attr:`accuracy`: 20, or the evaluated k nearest to it."""
        return headline_k(list(self.accuracies))

    @property
    def accuracy(self) -> float:
        """Accuracy in percent at :attr:`k`."""
        return self.accuracies[self.k]

    @property
    def gain(self) -> float | None:
        """Gain over the untrained sub-network in percentage points."""
        return None if self.untrained is None else self.accuracy - self.untrained

    def cells(self) -> dict[str, object]:
        """Return the cells of a CSV file by column; baselines only if they were evaluated."""
        cells: dict[str, object] = {
            'subnet': self.subnet,
            'name': self.name,
            'width': self.width,
            'depth': depth_cell(self.depth),
            'params': self.params,
            'feature': self.feature,
        }
        cells |= {f'k{k}': f'{accuracy:.3f}' for k, accuracy in self.accuracies.items()}
        baselines = {'untrained': self.untrained, 'gain': self.gain}
        baselines |= {f'{kind}_pixels': value for kind, value in (self.pixels or {}).items()}
        return cells | {k: f'{value:.3f}' for k, value in baselines.items() if value is not None}


def knn_rows(
    evaluator: KnnEvaluator,
    backbone: ElasticBackbone,
    subnets: Sequence[Subnet],
    feature: str = 'cls',
    untrained: ElasticBackbone | None = None,
) -> Iterator[KnnRow]:
    """Evaluate sub-networks, and baselines if asked for, and yield each row as it is finished.

    Args:
        evaluator: Holds data sets and settings.
        backbone: Pre-trained elastic backbone.
        subnets: Sub-networks to evaluate.
        feature: Kind of feature, of :data:`~poa_mm.evaluation.features.FEATURES`.
        untrained: The same backbone with random weights. If given, it and the pixels are
            evaluated as baselines.

    Yields:
        One row for each sub-network, in the order of ``subnets``.
    """
    k = headline_k(evaluator.k)
    pixels = None
    if untrained is not None:
        pixels = {kind: by_k[k] for kind, by_k in evaluator.pixels().items()}
    baselines: Iterable[tuple[Subnet, dict[str, Accuracies]] | None] = (
        repeat(None) if untrained is None else evaluator.evaluate(untrained, subnets, FEATURES)
    )
    trained = evaluator.evaluate(backbone, subnets, (feature,))
    for (subnet, accuracies), baseline in zip(trained, baselines, strict=False):
        yield KnnRow(
            subnet=str(subnet),
            name=well_known_name(backbone.space, subnet),
            width=subnet.width,
            depth=subnet.depth,
            params=backbone.num_params(subnet),
            feature=feature,
            accuracies=accuracies[feature],
            untrained=baseline and max(by_k[k] for by_k in baseline[1].values()),
            pixels=pixels,
        )


def knn_results(
    rows: Iterable[KnnRow], evaluator: KnnEvaluator, checkpoint: str | PathLike, branch: str
) -> Iterator[Result]:
    """Yield the accuracies of rows in the format of all results, one for each k.

    Args:
        rows: Of :func:`knn_rows`.
        evaluator: What they were evaluated with.
        checkpoint: File of the weights.
        branch: Branch that was evaluated, ``'teacher'`` or ``'student'``.
    """
    # Data sets of mmengine, which loaders do not know.
    votes, images = (
        cast(LabelledImages, loader.dataset)
        for loader in (evaluator.train_loader, evaluator.test_loader)
    )
    digest, data, data_digest = (
        file_sha256(checkpoint),
        data_name(images),
        f'{data_sha256(votes)} {data_sha256(images)}',
    )
    for row in rows:
        for k, accuracy in row.accuracies.items():
            yield Result(
                protocol='knn',
                metric='top1',
                value=accuracy,
                network=row.subnet,
                name=row.name,
                source=str(checkpoint),
                source_sha256=digest,
                data=data,
                data_sha256=data_digest,
                settings={
                    'k': k,
                    'temperature': evaluator.temperature,
                    'feature': row.feature,
                    'branch': branch,
                    'dtype': str(evaluator.dtype).removeprefix('torch.'),
                },
                versions=versions(),
            )


def untrained_backbone(backbone: ElasticBackbone, seed: int = 0) -> ElasticBackbone:
    """Build the same supernet with random weights, by its default initialisation.

    Args:
        backbone: Elastic backbone.
        seed: Seed of the initialisation. The global random state is restored afterwards.
    """
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel(logging.WARNING)  # mmengine logs three lines for every parameter
    try:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            untrained = ELASTIC_BACKBONES.build(backbone.config)
            untrained.init_weights()
    finally:
        logger.setLevel(level)
    untrained.eval()
    return untrained
