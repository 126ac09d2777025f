"""Measures without labels for many networks, beside k-NN; a run that was killed goes on."""

import copy
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Subset

from poa_mm.evaluation.baselines import pixel_features, spread, untrained_networks
from poa_mm.evaluation.features import feature_loader
from poa_mm.evaluation.journal import Journal
from poa_mm.evaluation.knn.votes import knn_accuracy
from poa_mm.evaluation.label_free.grid import measure
from poa_mm.evaluation.label_free.measures import alpha_req, rankme
from poa_mm.evaluation.network_features import FeatureReader, NetworkFeatures
from poa_mm.evaluation.network_row import NetworkRow
from poa_mm.evaluation.networks.measured import Measured, Network
from poa_mm.evaluation.ranks import from_first_rank
from poa_mm.evaluation.results import Result
from poa_mm.evaluation.views import augmented_views
from poa_mm.tables import headline_k

__all__ = ['LabelFreeRow', 'Views', 'known_accuracies', 'label_free_rows']

PIXELS_KEY = 'pixels'  # in the journal
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
        baselines: Values by baseline and name: ``'untrained'``, and ``'raw_pixels'`` and
            ``'normalised_pixels'`` without LiDAR; empty if not measured.
    """

    source: str
    measures: Mapping[str, float]
    knn: float | None = None
    baselines: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """What tells rows of several checkpoints apart."""
        return f'{self.subnet} of {self.weights}'

    @property
    def weights(self) -> str:
        """The end of the source's path."""
        return '/'.join(Path(self.source).parts[-2:])

    def cells(self) -> dict[str, object]:
        """Return the cells of a CSV file by column; baselines only if they were measured."""
        values = {name: f'{value:.4f}' for name, value in self.measures.items()}
        known = {'knn': '' if self.knn is None else f'{self.knn:.3f}'}
        beside = {
            f'{baseline}_{name}': f'{value:.4f}'
            for baseline, found in self.baselines.items()
            for name, value in found.items()
        }
        return {'source': self.source, **super().cells(), **values, **known, **beside}


def label_free_rows(
    reader: FeatureReader,
    measured: Measured,
    views: Views = Views(),
    k: int = 20,
    accuracies: Mapping[str, float] | None = None,
    journal: Journal | None = None,
    baselines: bool = False,
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
            all, or none if the images have no labels.
        journal: Has finished networks, and keeps new ones; None in processes but the first.
        baselines: Also measure pixels, and a supernet with random weights.

    Raises:
        ValueError: Fewer than two images or views, or features that cannot be measured.
    """
    done = from_first_rank({} if journal is None else dict(journal.done))
    pixels: dict[str, Any] = {}
    if baselines:
        pixels = done.get(PIXELS_KEY) or _pixels(reader)
        if journal is not None and PIXELS_KEY not in done:
            journal.add(PIXELS_KEY, pixels)
    missing = [network for network in measured.networks if network.name not in done]
    fresh = _measured(reader, measured, missing, views)
    random = untrained_networks(measured, missing) if baselines and missing else None
    untrained: Iterator[Any] = repeat(None)
    if random is not None:
        untrained = _measured(_of_train(reader), random, random.networks, views)
    for network in measured.networks:
        if network.name in done:
            found = done[network.name]
        else:
            (features, values), beside = next(fresh), next(untrained)
            found = {'measures': values}
            if accuracies is None and reader.data.labelled:
                found['knn'] = _knn(features, k, measured.device)
            if beside is not None:
                found['untrained'] = beside[1]
            if journal is not None:
                journal.add(network.name, found)
        of_untrained = {'untrained': found['untrained']} if 'untrained' in found else {}
        yield LabelFreeRow(
            **NetworkRow.fields_of(network),
            source=measured.source,
            measures=found['measures'],
            knn=found.get('knn') if accuracies is None else accuracies.get(network.name),
            baselines={**of_untrained, **pixels},
        )


def _measured(
    reader: FeatureReader, measured: Measured, networks: Sequence[Network], views: Views
) -> Iterator[tuple[NetworkFeatures, dict[str, float]]]:
    """Yield the features of all images and the measures of networks, in order."""
    for part in _passes(reader, measured, networks, views):
        of_views = _view_features(reader, measured, part, views)
        for one in reader.read(measured, part):
            whole = one.gathered()
            train = whole.train.features['cls'].float()
            some = train[spread(len(train), MAX_FEATURES)]
            yield whole, measure(some, of_views[one.network])


def _of_train(reader: FeatureReader) -> FeatureReader:
    """Return a reader of the training images alone, which keeps no features."""
    other = copy.copy(reader)
    other.loaders, other.store = {'train': reader.loaders['train']}, None
    return other


def _pixels(reader: FeatureReader) -> dict[str, dict[str, float]]:
    """Measure pixels of training images; LiDAR would need those of views."""
    found = {}
    for kind, splits in pixel_features(_of_train(reader), MAX_FEATURES).items():
        features = splits['train'].features['cls']
        values = {'rankme': rankme(features), 'alpha_req': alpha_req(features)}
        found[f'{kind}_pixels'] = values
    return found


def known_accuracies(results: Iterable[Result], measured: Measured) -> dict[str, float]:
    """Select the k-NN accuracies of these networks' class tokens, at k = 20 or the k nearest to it.

    Raises:
        ValueError: There is none.
    """
    found: dict[str, dict[int, float]] = defaultdict(dict)
    for result in results:
        of_class_tokens = result.settings.get('feature', 'cls') == 'cls'  # as the measures are
        if (result.protocol, result.metric) != ('knn', 'top1') or not of_class_tokens:
            continue
        if result.source_sha256 == measured.source_sha256:
            found[result.network][int(str(result.settings['k']))] = result.value
    if not found:
        raise ValueError(
            f'the results hold no k-NN accuracy of the class tokens of {measured.source}'
        )
    return {network: by_k[headline_k(list(by_k))] for network, by_k in found.items()}


def _knn(features: NetworkFeatures, k: int, device: torch.device) -> float:
    train, test = features.train, features.test
    return knn_accuracy(
        train.features['cls'].float().to(device),
        train.labels.to(device),
        test.features['cls'].float().to(device),
        test.labels.to(device),
        [k],
    )[k]


def _passes(
    reader: FeatureReader, measured: Measured, networks: Sequence[Network], views: Views
) -> Iterator[Sequence[Network]]:
    """Yield as many networks at a time as memory holds the features of views of."""
    if not networks:
        return
    preprocessing = measured.preprocessing
    image = torch.zeros(1, preprocessing.channels, *preprocessing.image_size)
    widest = max(tokens.cls.shape[1] for _, tokens in measured.tokens(image, networks))
    bytes_each = 4 * widest * views.images * views.number
    size = max(1, int(reader.max_memory * GIB / 2 / bytes_each))
    for start in range(0, len(networks), size):
        yield networks[start : start + size]


def _view_features(
    reader: FeatureReader, measured: Measured, networks: Sequence[Network], views: Views
) -> dict[Network, Tensor]:
    """Compute the features of views by network, (n, q, D)."""
    dataset, batch_size = reader.data.train, max(1, reader.batch_size // views.number)
    rows = spread(len(dataset), views.images)
    loader = feature_loader(
        Subset(dataset, rows), batch_size, reader.num_workers, labelled=reader.data.labelled
    )
    parts: dict[Network, list[Tensor]] = {network: [] for network in networks}
    first = 0
    for images, _ in loader:
        inputs = reader.preprocessor({'inputs': images, 'data_samples': None})['inputs']
        of_batch = augmented_views(inputs, first, views.number, views.seed)
        for network, tokens in measured.tokens(of_batch.flatten(0, 1), networks):
            parts[network].append(tokens.cls.float().cpu().unflatten(0, (-1, views.number)))
        first += len(images)
    return {network: torch.cat(found) for network, found in parts.items()}
