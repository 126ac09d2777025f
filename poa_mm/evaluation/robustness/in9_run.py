"""Networks on ImageNet-9 and its changed backgrounds: rows, table, results."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from rich.table import Table
from torch import Tensor
from torchvision.transforms.functional import resize

from poa_mm.evaluation.network_features import FeatureReader
from poa_mm.evaluation.network_row import NetworkRow, shared_fields
from poa_mm.evaluation.networks.measured import Measured, Network
from poa_mm.evaluation.results import Result
from poa_mm.evaluation.robustness.backgrounds import (
    BACKGROUNDS,
    NUM_CLASSES,
    NUM_IMAGENET,
    background_gap,
    challenge_accuracy,
    foregrounds,
    images_of,
    in9_variants,
    read_in_to_in9,
)
from poa_mm.evaluation.robustness.run import Prediction

__all__ = ['In9Row', 'in9_results', 'in9_rows', 'in9_table']

GAP, CHALLENGE = 'bg_gap', 'challenge'
Nine = Callable[..., Iterable[tuple[str, Tensor]]]  # of images, and of networks if not of all


@dataclass(frozen=True)
class In9Row(NetworkRow):
    """Accuracies of one network on ImageNet-9.

    Args:
        subnet: See :class:`NetworkRow`, as for the next four.
        accuracies: In percent by variant; ``'bg_gap'`` is the difference of ``mixed_same`` and
            ``mixed_rand``, ``'challenge'`` the share of foregrounds that no background fools the
            classifier about.
    """

    accuracies: Mapping[str, float]

    def cells(self) -> dict[str, object]:
        """Return the cells of a CSV file by column."""
        return {**super().cells(), **{k: f'{v:.3f}' for k, v in self.accuracies.items()}}


def in9_rows(
    folder: str | PathLike,
    measured: Measured,
    reader: FeatureReader,
    predict: Prediction,
    mapping: str | PathLike | None = None,
    batch_size: int = 32,
    challenge: bool = False,
) -> Iterator[In9Row]:
    """Classify all variants with every network.

    Args:
        folder: As of :func:`~poa_mm.evaluation.robustness.backgrounds.in9_variants`.
        measured: Networks.
        reader: Its training images say which classes there are.
        predict: Classes that each network predicts.
        mapping: ``in_to_in9.json``, for 1000 classes of ImageNet; ``None`` if the training images
            have the nine classes of ImageNet-9, in their order.
        batch_size: Images at a time.
        challenge: Also try all backgrounds on all foregrounds.

    Raises:
        FileNotFoundError: Files are missing.
        ValueError: The classes of the training images do not fit.
    """
    variants, to_nine = in9_variants(folder), _mapping(reader, mapping)

    def nine(
        images: Tensor, networks: Sequence[Network] | None = None
    ) -> Iterator[tuple[str, Tensor]]:
        for network, classes in predict(_prepared(images, measured, reader), networks):
            yield network, to_nine[classes.cpu()]

    found: dict[str, dict[str, float]] = defaultdict(dict)
    for variant, path in variants.items():
        for name, accuracy in _accuracies(images_of(path, batch_size), nine).items():
            found[name][variant] = accuracy
    for network in measured.networks:
        accuracies = found[network.name]
        gap = background_gap(accuracies)
        if gap is not None:
            accuracies[GAP] = gap
        if challenge:
            batches = [images for images, _ in images_of(variants[BACKGROUNDS], batch_size)]
            accuracies[CHALLENGE] = challenge_accuracy(
                foregrounds(folder), batches, _of_one(nine, network)
            )
        yield In9Row(**NetworkRow.fields_of(network), accuracies=accuracies)


def in9_table(rows: Sequence[In9Row]) -> Table:
    """Make a table for the screen."""
    table = Table('network', 'name', title='accuracy on ImageNet-9 (%)')
    for variant in rows[0].accuracies:
        table.add_column(variant, justify='right')
    for row in rows:
        table.add_row(row.subnet, row.name, *(f'{v:.1f}' for v in row.accuracies.values()))
    return table


def in9_results(
    rows: Iterable[In9Row], measured: Measured, reader: FeatureReader, settings: Mapping[str, Any]
) -> Iterator[Result]:
    """Yield the accuracies in the format of all results; the data set is ImageNet-9.

    Args:
        rows: Of :func:`in9_rows`.
        measured: What they are of.
        reader: What the classifier was made with.
        settings: What can change the numbers.
    """
    about = {**shared_fields(measured, reader.data), 'data': 'imagenet-9'}
    for row in rows:
        for variant, value in row.accuracies.items():
            metric = variant if variant in (GAP, CHALLENGE) else 'top1'
            told = {'variant': variant, **settings}
            yield Result('in9', metric, value, row.subnet, row.name, settings=told, **about)


def _mapping(reader: FeatureReader, path: str | PathLike | None) -> Tensor:
    classes = len(reader.data.train.metainfo['classes'])
    if path is None:
        if classes != NUM_CLASSES:
            raise ValueError(
                f'the classifier knows {classes} classes: give in_to_in9.json for '
                f"ImageNet's {NUM_IMAGENET}, or train images of the {NUM_CLASSES} of ImageNet-9"
            )
        return torch.arange(NUM_CLASSES)
    if classes != NUM_IMAGENET:
        raise ValueError(
            f"{Path(path)} is for ImageNet's {NUM_IMAGENET} classes, the classifier knows {classes}"
        )
    return read_in_to_in9(path)


def _accuracies(batches: Iterable[tuple[Tensor, Tensor]], predict: Nine) -> dict[str, float]:
    right: dict[str, int] = defaultdict(int)
    total = 0
    for images, labels in batches:
        for network, classes in predict(images):
            right[network] += int((classes == labels).sum())
        total += len(labels)
    if not total:
        raise ValueError('a variant of ImageNet-9 has no images')
    return {network: 100 * number / total for network, number in right.items()}


def _of_one(predict: Nine, network: Network) -> Callable[[Tensor], Tensor]:
    """Return the prediction of one network."""
    return lambda images: dict(predict(images, [network]))[network.name]


def _prepared(images: Tensor, measured: Measured, reader: FeatureReader) -> Tensor:
    """Normalise images with values from 0 to 1, at the size of the networks if it is another."""
    size = list(measured.preprocessing.image_size)
    if list(images.shape[-2:]) != size:
        images = resize(images, size, antialias=True)
    return reader.preprocessor({'inputs': 255 * images, 'data_samples': None})['inputs']
