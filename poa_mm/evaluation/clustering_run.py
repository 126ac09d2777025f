"""Clustering of many networks' features: rows, table, results."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from itertools import repeat
from typing import Any, TypeAlias

import torch.nn.functional as F
from mmengine import dist
from rich.table import Table

from poa_mm.evaluation.baselines import baseline_result, pixel_features, untrained_networks
from poa_mm.evaluation.clustering import METRICS, kmeans_scores, summary_of_runs
from poa_mm.evaluation.journal import Journal
from poa_mm.evaluation.network_features import FeatureReader, SplitFeatures
from poa_mm.evaluation.network_row import NetworkRow, shared_fields
from poa_mm.evaluation.networks.measured import Measured
from poa_mm.evaluation.ranks import from_first_rank
from poa_mm.evaluation.results import Result

__all__ = ['ClusteringRow', 'Clusters', 'clustering_results', 'clustering_rows', 'clustering_table']

PIXELS_KEY = 'pixels'  # in the journal
Runs: TypeAlias = 'tuple[Mapping[str, float], ...]'  # scores by metric


@dataclass(frozen=True)
class Clusters:
    """How features are clustered.

    Args:
        count: Number of clusters; ``None`` takes the number of classes.
        repeats: Number of runs, with seeds ``seed``, ``seed + 1``, …
        seed: Seed of the first run.
        normalised: Divide features by their length first; the paper does not.
    """

    count: int | None = None
    repeats: int = 1
    seed: int = 0
    normalised: bool = False


@dataclass(frozen=True)
class ClusteringRow(NetworkRow):
    """Clustering of one network's features.

    Args:
        subnet: See :class:`NetworkRow`, as for the next four.
        runs: Scores of each run in percent, by metric.
        seconds: What all runs took.
        baselines: Runs by baseline, ``'untrained'``, ``'raw_pixels'`` and ``'normalised_pixels'``;
            empty if not evaluated.
    """

    runs: Runs
    seconds: float
    baselines: Mapping[str, Runs] = field(default_factory=dict)

    @property
    def accuracy(self) -> float:
        """Mean accuracy in percent, for plots."""
        return summary_of_runs(self.runs).means['acc']

    def baseline(self, name: str) -> float:
        """Return the mean accuracy of a baseline in percent."""
        return summary_of_runs(self.baselines[name]).means['acc']

    def cells(self) -> dict[str, object]:
        """Return the cells of a CSV file by column; baselines only if they were evaluated."""
        cells, summary = super().cells(), summary_of_runs(self.runs)
        for metric in METRICS:
            cells[metric] = f'{summary.means[metric]:.3f}'
            cells[f'{metric}_std'] = f'{summary.stds[metric]:.3f}'
        for baseline, runs in self.baselines.items():
            means = summary_of_runs(runs).means
            cells |= {f'{baseline}_{metric}': f'{means[metric]:.3f}' for metric in METRICS}
        return {**cells, 'seconds': f'{self.seconds:.1f}'}


def clustering_rows(
    reader: FeatureReader,
    measured: Measured,
    clusters: Clusters = Clusters(),
    journal: Journal | None = None,
    baselines: bool = False,
) -> Iterator[ClusteringRow]:
    """Cluster the test images of each network; yield each row as it is finished.

    Processes of torchrun share the images, then the runs.

    Args:
        reader: Reads features.
        measured: Networks.
        clusters: How to cluster.
        journal: Has finished networks, and keeps new ones; None in processes but the first.
        baselines: Also cluster pixels, and the features of a supernet with random weights.

    Raises:
        ValueError: As :func:`~poa_mm.evaluation.kmeans_scores`.
    """
    done = from_first_rank({} if journal is None else dict(journal.done))
    pixels: dict[str, Any] = {}
    if baselines:
        pixels = done.get(PIXELS_KEY) or _pixel_runs(reader, clusters)
        if journal is not None and PIXELS_KEY not in done:
            journal.add(PIXELS_KEY, pixels)
    missing = [network for network in measured.networks if network.name not in done]
    fresh = reader.read(measured, missing) if missing else iter(())
    random = untrained_networks(measured, missing) if baselines and missing else None
    untrained = repeat(None) if random is None else reader.read(random, keep=False)
    for network in measured.networks:
        if network.name in done:
            found = done[network.name]
        else:
            one, other = next(fresh), next(untrained)
            start = time.perf_counter()
            runs = _runs(one.test.gathered(), clusters)
            found = {'runs': runs, 'seconds': time.perf_counter() - start}
            if other is not None:
                found['untrained'] = _runs(other.test.gathered(), clusters)
            if journal is not None:
                journal.add(network.name, found)
        beside = {'untrained': found['untrained']} if 'untrained' in found else {}
        yield ClusteringRow(
            **NetworkRow.fields_of(network),
            runs=tuple(found['runs']),
            seconds=found['seconds'],
            baselines={name: tuple(runs) for name, runs in {**beside, **pixels}.items()},
        )


def _pixel_runs(reader: FeatureReader, clusters: Clusters) -> dict[str, list[dict[str, float]]]:
    return {
        f'{kind}_pixels': _runs(splits['test'], clusters)
        for kind, splits in pixel_features(reader).items()
    }


def _runs(test: SplitFeatures, clusters: Clusters) -> list[dict[str, float]]:
    """Share the runs among the processes, and gather them in order."""
    features, labels = test.features['cls'].float(), test.labels
    if clusters.normalised:
        features = F.normalize(features, dim=1)
    mine = {
        number: dict(
            kmeans_scores(features, labels, clusters.count, seed=clusters.seed + number).runs[0]
        )
        for number in range(dist.get_rank(), clusters.repeats, dist.get_world_size())
    }
    runs = {n: run for part in dist.all_gather_object(mine) for n, run in part.items()}
    return [runs[number] for number in range(clusters.repeats)]


def clustering_table(rows: list[ClusteringRow]) -> Table:
    """Make a table for the screen: means, and the accuracy's standard deviation."""
    beside = rows[0].baselines
    pixels = [name for name in beside if name.endswith('pixels')]
    caption = ', '.join(f'{one.replace("_", " ")} {rows[0].baseline(one):.1f}' for one in pixels)
    table = Table(
        title='k-means on the test images (%)', caption=f'ACC: {caption}' if pixels else None
    )
    for column in ('network', 'name'):
        table.add_column(column, no_wrap=True)
    untrained = ['untrained ACC'] if 'untrained' in beside else []
    for column in ('params (M)', *(metric.upper() for metric in METRICS), *untrained):
        table.add_column(column, justify='right', no_wrap=column == 'ACC')
    for row in rows:
        summary = summary_of_runs(row.runs)
        scores = [f'{summary.means[metric]:.1f}' for metric in METRICS]
        if len(row.runs) > 1:  # of the others in the CSV file: the table is to fit the screen
            scores[0] += f' ± {summary.stds[METRICS[0]]:.1f}'
        scores += [f'{row.baseline("untrained"):.1f}' for _ in untrained]
        table.add_row(row.subnet, row.name, f'{row.params / 1e6:.2f}', *scores)
    return table


def clustering_results(
    rows: list[ClusteringRow],
    measured: Measured,
    reader: FeatureReader,
    clusters: Clusters,
    settings: Mapping[str, Any],
) -> Iterator[Result]:
    """Yield the mean scores of networks and baselines, and the standard deviations of repeats.

    Args:
        rows: Of :func:`clustering_rows`.
        measured: What they are of.
        reader: What they were made with.
        clusters: Likewise.
        settings: What else can change the numbers.
    """
    about = shared_fields(measured, reader.data)
    told = {**asdict(clusters), 'clusters': clusters.count or 'classes', **settings}
    told.pop('count')
    for row in rows:
        common = Result('clustering', '', 0.0, row.subnet, row.name, settings=told, **about)
        for name, value in _numbers(row.runs).items():
            yield replace(common, metric=name, value=value, seconds=row.seconds)
        for baseline, runs in row.baselines.items():
            if baseline == 'untrained' or row is rows[0]:  # pixels are the same for all networks
                for name, value in _numbers(runs).items():
                    yield baseline_result(replace(common, metric=name), baseline, value)


def _numbers(runs: Runs) -> dict[str, float]:
    """Return means and, of several runs, standard deviations by metric."""
    summary = summary_of_runs(runs)
    numbers = {}
    for metric in METRICS:
        numbers[metric] = summary.means[metric]
        if len(runs) > 1:
            numbers[f'{metric}_std'] = summary.stds[metric]
    return numbers
