"""Measures without labels for many networks and checkpoints, beside k-NN: rows, table, results."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.table import Table
from torch import Tensor
from torch.utils.data import Subset

from poa_mm.evaluation.features import feature_loader
from poa_mm.evaluation.knn.votes import knn_accuracy
from poa_mm.evaluation.label_free.grid import MEASURES, Agreement, agreement, measure
from poa_mm.evaluation.network_features import FeatureReader, NetworkFeatures
from poa_mm.evaluation.network_row import NetworkRow, shared_fields
from poa_mm.evaluation.networks.measured import Measured, Network
from poa_mm.evaluation.results import Result
from poa_mm.evaluation.views import augmented_views
from poa_mm.tables import headline_k

__all__ = [
    'LabelFreeRow',
    'Views',
    'agreement_table',
    'agreements',
    'known_accuracies',
    'label_free_results',
    'label_free_rows',
    'label_free_table',
]

MAX_FEATURES = 25_600  # images for RankMe and α-ReQ, as in the RankMe paper
GIB = 2**30


@dataclass(frozen=True)
class Views:
    """Augmented views for LiDAR.

    Args:
        images: Number of images, spread over the training images.
        number: Views of each.
        seed: Seed of the crops.
    """

    images: int = 1000
    number: int = 10
    seed: int = 0


@dataclass(frozen=True)
class LabelFreeRow(NetworkRow):
    """Measures of one network.

    Args:
        subnet: See :class:`NetworkRow`, as for the next four.
        source: File of the weights.
        measures: Values by name, of :data:`~poa_mm.evaluation.label_free.grid.MEASURES`.
        knn: k-NN accuracy in percent, or None.
    """

    source: str
    measures: Mapping[str, float]
    knn: float | None = None

    @property
    def key(self) -> str:
        """What tells rows of several checkpoints apart."""
        return f'{self.subnet} of {self.weights}'

    @property
    def weights(self) -> str:
        """The end of the source's path."""
        return '/'.join(Path(self.source).parts[-2:])

    def cells(self) -> dict[str, object]:
        """Return the cells of a CSV file by column."""
        values = {name: f'{value:.4f}' for name, value in self.measures.items()}
        known = {'knn': '' if self.knn is None else f'{self.knn:.3f}'}
        return {'source': self.source, **super().cells(), **values, **known}


def label_free_rows(
    reader: FeatureReader,
    measured: Measured,
    views: Views = Views(),
    k: int = 20,
    accuracies: Mapping[str, float] | None = None,
) -> Iterator[LabelFreeRow]:
    """Measure networks, and yield each row as it is finished.

    RankMe and α-ReQ take features of the training images, at most 25,600, spread evenly; LiDAR
    takes views of some of them.

    Args:
        reader: Reads features.
        measured: Networks.
        views: For LiDAR.
        k: Neighbours of the k-NN accuracy.
        accuracies: k-NN accuracies in percent that are known already, by network; ``None`` measures
            all.

    Raises:
        ValueError: Fewer than two images or views, or features that cannot be measured.
    """
    for networks in _passes(reader, measured, views):
        of_views = _view_features(reader, measured, networks, views)
        for one in reader.read(measured, networks):
            whole = one.gathered()
            train = whole.train.features['cls'].float()
            if accuracies is None:
                known: float | None = _knn(whole, k, measured.device)
            else:
                known = accuracies.get(one.network.name)
            yield LabelFreeRow(
                **NetworkRow.fields_of(one.network),
                source=measured.source,
                measures=measure(train[_spread(len(train), MAX_FEATURES)], of_views[one.network]),
                knn=known,
            )


def known_accuracies(results: Iterable[Result], measured: Measured) -> dict[str, float]:
    """Select the k-NN accuracies of these networks, at k = 20 or the k nearest to it.

    Raises:
        ValueError: There is none.
    """
    found: dict[str, dict[int, float]] = defaultdict(dict)
    for result in results:
        if (result.protocol, result.metric) != ('knn', 'top1'):
            continue
        if result.source_sha256 == measured.source_sha256:
            found[result.network][int(str(result.settings['k']))] = result.value
    if not found:
        raise ValueError(f'the results hold no k-NN accuracy of {measured.source}')
    return {network: by_k[headline_k(list(by_k))] for network, by_k in found.items()}


def agreements(rows: Sequence[LabelFreeRow]) -> list[Agreement]:
    """Compare each measure with k-NN, over all rows and among rows of one width.

    Returns:
        One for each measure; none if no row has a k-NN accuracy.
    """
    several = len({row.source for row in rows}) > 1
    by_key = {row.key if several else row.subnet: row for row in rows}
    accuracies = {key: row.knn for key, row in by_key.items() if row.knn is not None}
    groups = {key: (row.source, row.width or row.subnet) for key, row in by_key.items()}
    if not accuracies:
        return []
    return [
        agreement(name, {k: row.measures[name] for k, row in by_key.items()}, accuracies, groups)
        for name in MEASURES
    ]


def label_free_table(rows: Sequence[LabelFreeRow]) -> Table:
    """Make a table of the measures for the screen."""
    several = len({row.source for row in rows}) > 1
    table = Table(*(['weights'] if several else []), 'network', 'name')
    for column in ('params (M)', *MEASURES, 'k-NN'):
        table.add_column(column, justify='right')
    for row in rows:
        values = [f'{row.measures[name]:.2f}' for name in MEASURES]
        known = '' if row.knn is None else f'{row.knn:.1f}'
        cells = [row.subnet, row.name, f'{row.params / 1e6:.2f}', *values, known]
        table.add_row(*([row.weights] if several else []), *cells)
    return table


def agreement_table(found: Sequence[Agreement]) -> Table:
    """Make a table of what each measure would have chosen."""
    table = Table(title='does the measure choose what k-NN chooses?')
    table.add_column('measure')
    for column in ('Spearman', 'within a width'):
        table.add_column(column, justify='right')
    table.add_column('chooses')
    for column in ('its k-NN', 'the best k-NN'):
        table.add_column(column, justify='right')
    for one in found:
        correlations = [
            '-' if value is None else f'{value:+.2f}' for value in (one.spearman, one.within)
        ]
        accuracies = [f'{one.accuracy:.1f}', f'{one.best:.1f}']
        table.add_row(one.measure, *correlations, one.chosen, *accuracies)
    return table


def label_free_results(
    rows: Iterable[LabelFreeRow],
    measured: Measured,
    reader: FeatureReader,
    views: Views,
    settings: Mapping[str, Any],
) -> Iterator[Result]:
    """Yield the measures in the format of all results.

    Args:
        rows: Of :func:`label_free_rows`.
        measured: What they are of.
        reader: What they were made with.
        views: Likewise.
        settings: What else can change the numbers.
    """
    about = shared_fields(measured, reader.data)
    of_lidar = {'images': views.images, 'views': views.number, 'seed': views.seed}
    for row in rows:
        for name, value in row.measures.items():
            told = {**settings, **(of_lidar if name == 'lidar' else {})}
            yield Result(
                'label_free', name, value, row.subnet, row.name, settings=told, unit='', **about
            )


def _knn(features: NetworkFeatures, k: int, device: torch.device) -> float:
    train, test = features.train, features.test
    return knn_accuracy(
        train.features['cls'].float().to(device),
        train.labels.to(device),
        test.features['cls'].float().to(device),
        test.labels.to(device),
        [k],
    )[k]


def _passes(reader: FeatureReader, measured: Measured, views: Views) -> Iterator[list[Network]]:
    """Yield as many networks at a time as memory holds the features of views of."""
    networks = list(measured.networks)
    preprocessing = measured.preprocessing
    image = torch.zeros(1, preprocessing.channels, *preprocessing.image_size)
    widest = max(tokens.cls.shape[1] for _, tokens in measured.tokens(image))
    bytes_each = 4 * widest * views.images * views.number
    size = max(1, int(reader.max_memory * GIB / 2 / bytes_each))
    for start in range(0, len(networks), size):
        yield networks[start : start + size]


def _view_features(
    reader: FeatureReader, measured: Measured, networks: Sequence[Network], views: Views
) -> dict[Network, Tensor]:
    """Compute the features of views by network, (n, q, D)."""
    dataset, batch_size = reader.data.train, max(1, reader.batch_size // views.number)
    rows = _spread(len(dataset), views.images)
    loader = feature_loader(Subset(dataset, rows), batch_size, reader.num_workers)
    parts: dict[Network, list[Tensor]] = {network: [] for network in networks}
    first = 0
    for images, _ in loader:
        inputs = reader.preprocessor({'inputs': images, 'data_samples': None})['inputs']
        of_batch = augmented_views(inputs, first, views.number, views.seed)
        for network, tokens in measured.tokens(of_batch.flatten(0, 1), networks):
            parts[network].append(tokens.cls.float().cpu().unflatten(0, (-1, views.number)))
        first += len(images)
    return {network: torch.cat(found) for network, found in parts.items()}


def _spread(total: int, wanted: int) -> list[int]:
    """Return rows that are spread evenly over all, or all of them."""
    return list(range(total)) if total <= wanted else [n * total // wanted for n in range(wanted)]
