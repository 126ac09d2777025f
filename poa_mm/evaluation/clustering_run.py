"""Clustering of many networks' features: rows, table, results."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch.nn.functional as F
from mmengine import dist
from rich.table import Table

from poa_mm.evaluation.clustering import METRICS, kmeans_scores, summary_of_runs
from poa_mm.evaluation.journal import Journal
from poa_mm.evaluation.network_features import FeatureReader
from poa_mm.evaluation.network_row import NetworkRow, shared_fields
from poa_mm.evaluation.networks.measured import Measured
from poa_mm.evaluation.ranks import from_first_rank
from poa_mm.evaluation.results import Result

__all__ = ['ClusteringRow', 'Clusters', 'clustering_results', 'clustering_rows', 'clustering_table']


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
    """

    runs: tuple[Mapping[str, float], ...]
    seconds: float

    @property
    def accuracy(self) -> float:
        """Mean accuracy in percent, for plots."""
        return summary_of_runs(self.runs).means['acc']

    def cells(self) -> dict[str, object]:
        """Return the cells of a CSV file by column."""
        cells, summary = super().cells(), summary_of_runs(self.runs)
        for metric in METRICS:
            cells[metric] = f'{summary.means[metric]:.3f}'
            cells[f'{metric}_std'] = f'{summary.stds[metric]:.3f}'
        return {**cells, 'seconds': f'{self.seconds:.1f}'}


def clustering_rows(
    reader: FeatureReader,
    measured: Measured,
    clusters: Clusters = Clusters(),
    journal: Journal | None = None,
) -> Iterator[ClusteringRow]:
    """Cluster the test images of each network; yield each row as it is finished.

    Processes of torchrun share the images, then the runs.

    Args:
        reader: Reads features.
        measured: Networks.
        clusters: How to cluster.
        journal: Has finished networks, and keeps new ones; None in processes but the first.

    Raises:
        ValueError: As :func:`~poa_mm.evaluation.kmeans_scores`.
    """
    done = from_first_rank({} if journal is None else dict(journal.done))
    missing = [network for network in measured.networks if network.name not in done]
    fresh = reader.read(measured, missing) if missing else iter(())
    for network in measured.networks:
        if network.name in done:
            found = done[network.name]
        else:
            test = next(fresh).test.gathered()
            start = time.perf_counter()
            runs = _runs(test.features['cls'].float(), test.labels, clusters)
            found = {'runs': runs, 'seconds': time.perf_counter() - start}
            if journal is not None:
                journal.add(network.name, found)
        yield ClusteringRow(
            **NetworkRow.fields_of(network), runs=tuple(found['runs']), seconds=found['seconds']
        )


def _runs(features: Any, labels: Any, clusters: Clusters) -> list[dict[str, float]]:
    """Share the runs among the processes, and gather them in order."""
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
    """Make a table for the screen: means, and standard deviations of repeated runs."""
    table = Table('network', 'name', title='k-means on the test images (%)')
    for column in ('params (M)', *(metric.upper() for metric in METRICS)):
        table.add_column(column, justify='right', no_wrap=True)
    for row in rows:
        summary = summary_of_runs(row.runs)
        scores = [
            f'{summary.means[metric]:.1f}'
            + (f' ± {summary.stds[metric]:.1f}' if len(row.runs) > 1 else '')
            for metric in METRICS
        ]
        table.add_row(row.subnet, row.name, f'{row.params / 1e6:.2f}', *scores)
    return table


def clustering_results(
    rows: list[ClusteringRow],
    measured: Measured,
    reader: FeatureReader,
    clusters: Clusters,
    settings: Mapping[str, Any],
) -> Iterator[Result]:
    """Yield the mean scores, with the standard deviation of repeats among the settings' numbers.

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
        summary = summary_of_runs(row.runs)
        for metric in METRICS:
            for name, values in ((metric, summary.means), (f'{metric}_std', summary.stds)):
                if name == metric or len(row.runs) > 1:
                    yield Result(
                        'clustering',
                        name,
                        values[metric],
                        row.subnet,
                        row.name,
                        settings=told,
                        seconds=row.seconds,
                        **about,
                    )
