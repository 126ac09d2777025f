"""k-NN accuracy of networks, with untrained networks and pixels as baselines."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import repeat
from os import PathLike
from statistics import mean, stdev
from typing import Any

from poa_mm.elastic import Subnet
from poa_mm.evaluation.baselines import baseline_result, untrained_networks
from poa_mm.evaluation.features import FEATURES, evaluating
from poa_mm.evaluation.knn.evaluator import Accuracies, KnnEvaluator, KnnScores
from poa_mm.evaluation.network_row import NetworkRow, depth_from_plain
from poa_mm.evaluation.networks.measured import Measured, MeasuredSupernet, Network
from poa_mm.evaluation.results import Result, file_sha256, versions
from poa_mm.models.backbones import ElasticBackbone
from poa_mm.tables import headline_k

__all__ = [
    'KnnRow',
    'knn_results',
    'knn_rows',
    'measured_rows',
    'results_of_rows',
]

# Metric of results by how the accuracy is averaged; the paper's is over images.
METRICS = {'micro': 'top1', 'macro': 'macro_top1'}


@dataclass(frozen=True)
class KnnRow(NetworkRow):
    """k-NN result of one network.

    Args:
        subnet: See :class:`NetworkRow`, as for the next four.
        name: Its well-known name.
        width: Elastic width.
        depth: Elastic depth.
        params: Number of parameters.
        feature: ``'cls'`` or ``'mean'``.
        accuracies: Top-1 accuracy in percent by k.
        untrained: Accuracy of the same sub-network with random weights, the higher one of its class
            token and its mean patch token; ``None`` if not evaluated.
        pixels: Accuracies of the pixels by kind, of
            :data:`~poa_mm.evaluation.features.PIXELS`, the same for all sub-networks; ``None`` if
            not evaluated.
        few_shot: Accuracies by k with few-shot banks, of each draw, by the number of images of each
            class.
    """

    feature: str
    accuracies: Mapping[int, float]
    untrained: float | None = None
    pixels: Mapping[str, float] | None = None
    few_shot: Mapping[int, Sequence[Accuracies]] = field(default_factory=dict)

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
        cells = super().cells() | {'feature': self.feature}
        cells |= {f'k{k}': f'{accuracy:.3f}' for k, accuracy in self.accuracies.items()}
        for (number, k), values in self.draws().items():
            cells[f'n{number}_k{k}'] = f'{mean(values):.3f}'
            cells[f'n{number}_k{k}_std'] = f'{stdev(values) if len(values) > 1 else 0:.3f}'
        baselines = {'untrained': self.untrained, 'gain': self.gain}
        baselines |= {f'{kind}_pixels': value for kind, value in (self.pixels or {}).items()}
        return cells | {k: f'{value:.3f}' for k, value in baselines.items() if value is not None}

    def draws(self) -> dict[tuple[int, int], list[float]]:
        """Return the few-shot accuracies of all draws, by images of each class and k."""
        return {
            (number, k): [accuracies[k] for accuracies in draws]
            for number, draws in self.few_shot.items()
            for k in draws[0]
        }

    def plain(self) -> dict[str, Any]:
        """Return plain data for a file of JSON."""
        return asdict(self)

    @classmethod
    def from_plain(cls, data: Mapping[str, Any]) -> 'KnnRow':
        """Read what :meth:`plain` returned, also after a file of JSON has made keys text."""
        few_shot = {
            int(number): [_by_number(accuracies) for accuracies in draws]
            for number, draws in data['few_shot'].items()
        }
        return cls(
            **{
                **data,
                'depth': depth_from_plain(data['depth']),
                'accuracies': _by_number(data['accuracies']),
                'few_shot': few_shot,
            }
        )


def _by_number(values: Mapping[Any, float]) -> dict[int, float]:
    return {int(key): value for key, value in values.items()}


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
    pixels = None if untrained is None else pixel_accuracies(evaluator)
    measured = MeasuredSupernet(backbone, subnets, device=evaluator.device, dtype=evaluator.dtype)
    with evaluating(backbone):
        yield from measured_rows(evaluator, measured, feature, untrained, pixels)


def pixel_accuracies(evaluator: KnnEvaluator) -> dict[str, float]:
    """Evaluate pixels, of all :data:`~poa_mm.evaluation.features.PIXELS`, at the headline k."""
    k = headline_k(evaluator.k)
    return {kind: by_k[k] for kind, by_k in evaluator.pixels().items()}


def measured_rows(
    evaluator: KnnEvaluator,
    measured: Measured,
    feature: str = 'cls',
    untrained: ElasticBackbone | None = None,
    pixels: Mapping[str, float] | None = None,
    networks: Sequence[Network] | None = None,
) -> Iterator[KnnRow]:
    """Evaluate networks, and yield each row as it is finished.

    Args:
        evaluator: Holds data sets and settings.
        measured: Of :func:`~poa_mm.evaluation.open_measured`.
        feature: Kind of feature, of :data:`~poa_mm.evaluation.features.FEATURES`.
        untrained: The same supernet with random weights, as a baseline.
        pixels: Of :func:`pixel_accuracies`, as a baseline.
        networks: Which of ``measured.networks``; all by default.

    Yields:
        One row for each network, in order.
    """
    networks = list(measured.networks if networks is None else networks)
    baselines: Iterable[tuple[Network, dict[str, KnnScores]] | None] = repeat(None)
    if untrained is not None:
        random = untrained_networks(measured, networks, untrained)
        assert random is not None  # of a supernet
        baselines = evaluator.evaluate_networks(random, kinds=FEATURES, keep=False)
    trained = evaluator.evaluate_networks(measured, networks, (feature,))
    k = headline_k(evaluator.k)
    for (network, scores), baseline in zip(trained, baselines, strict=False):
        yield KnnRow(
            **NetworkRow.fields_of(network),
            feature=feature,
            accuracies=scores[feature].accuracies,
            untrained=baseline and max(one.accuracies[k] for one in baseline[1].values()),
            pixels=pixels,
            few_shot=scores[feature].few_shot,
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
    yield from results_of_rows(
        rows,
        evaluator,
        source=str(checkpoint),
        source_sha256=file_sha256(checkpoint),
        settings={'branch': branch, 'dtype': str(evaluator.dtype).removeprefix('torch.')},
    )


def results_of_rows(
    rows: Iterable[KnnRow],
    evaluator: KnnEvaluator,
    source: str,
    source_sha256: str,
    settings: Mapping[str, Any],
) -> Iterator[Result]:
    """Yield the accuracies of rows in the format of all results, one for each k, draw and baseline.

    Args:
        rows: Of :func:`measured_rows`.
        evaluator: What they were evaluated with.
        source: See :class:`~poa_mm.evaluation.Result`.
        source_sha256: See :class:`~poa_mm.evaluation.Result`.
        settings: What can change the numbers, beside k, temperature and kind of feature.
    """
    data = evaluator.labelled
    about: dict[str, Any] = {
        'metric': METRICS[evaluator.average],
        'source': source,
        'source_sha256': source_sha256,
        'data': data.name,
        'data_sha256': data.both_sha256,
        'versions': versions(),
    }

    rows = list(rows)
    for row in rows:
        told = {'temperature': evaluator.temperature, 'feature': row.feature, **settings}
        network = {'network': row.subnet, 'name': row.name, **about}
        for k, value in row.accuracies.items():
            yield Result('knn', value=value, settings={'k': k, **told}, **network)
        if row.untrained is not None:
            best: dict[str, Any] = {'k': row.k, **told, 'feature': 'best'}
            yield baseline_result(
                Result('knn', value=0.0, settings=best, **network), 'untrained', row.untrained
            )
        for (number, k), draws in row.draws().items():
            for draw, value in enumerate(draws):
                few = {'k': k, 'per_class': number, 'draw': draw, **told}
                yield Result('few_shot_knn', value=value, settings=few, **network)
    for kind, value in (rows[0].pixels or {}).items() if rows else ():
        votes: dict[str, Any] = {'k': rows[0].k, 'temperature': evaluator.temperature}
        of_pixels = Result('knn', value=value, network='', settings=votes, **about)
        yield baseline_result(of_pixels, f'{kind}_pixels', value)
