"""Weighted k-NN accuracy of sub-networks on two labelled data sets."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from rich.progress import track
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Subset

from poa_mm.datasets.description import describe
from poa_mm.elastic import Subnet
from poa_mm.evaluation.features import (
    PIXELS,
    Features,
    extract_features,
    extract_pixels,
    feature_loader,
    num_images,
)
from poa_mm.evaluation.knn import PAPER_KS, TEMPERATURE, knn_accuracy
from poa_mm.registry import DATASETS, MODELS

__all__ = ['Accuracies', 'KnnEvaluator']

# What k-NN reads of a config.
KNN_SETTINGS = ('knn_train_dataset', 'knn_test_dataset', 'data_preprocessor')
Accuracies = dict[int, float]  # top-1 in percent by k


class KnnEvaluator:
    """Weighted k-NN of sub-networks: one data set votes on the images of another.

    Args:
        train_dataset: Labelled images that vote, as :func:`feature_loader` takes them.
        test_dataset: Images to classify, with the same classes.
        preprocessor: mmengine data preprocessor that normalises the images.
        k: Numbers of neighbours. By default those of the paper that the training images suffice
            for.
        temperature: T of :func:`~poa_mm.evaluation.knn.knn_predict`.
        batch_size: Images per forward pass.
        num_workers: Processes that read images.
        device: Where networks and neighbour search run.
        dtype: Autocast precision of the networks.
        max_memory: Main memory for features in GiB. Sub-networks whose features do not fit into
            it together take several passes over the images; one always runs, whatever its size.
        progress: Whether to show progress bars.

    Raises:
        ValueError: On empty or unlabelled data sets, classes that differ or a single one, a k that
            is larger than the number of training images, or a temperature that is not positive.
    """

    def __init__(
        self,
        train_dataset: Dataset,
        test_dataset: Dataset,
        preprocessor: nn.Module,
        k: Sequence[int] | None = None,
        temperature: float = TEMPERATURE,
        batch_size: int = 256,
        num_workers: int = 0,
        device: str | torch.device = 'cpu',
        dtype: torch.dtype = torch.float32,
        max_memory: float = 8.0,
        progress: bool = True,
    ) -> None:
        if not temperature > 0:  # before hours of feature extraction
            raise ValueError(f'temperature must be > 0, got {temperature}')
        self.train_loader = feature_loader(train_dataset, batch_size, num_workers)
        self.test_loader = feature_loader(test_dataset, batch_size, num_workers)
        _check_classes(train_dataset, test_dataset)
        self.k = _checked_k(k, num_images(self.train_loader))
        self.temperature = temperature
        self.device = torch.device(device)
        self.preprocessor = preprocessor.to(self.device)
        self.dtype = dtype
        self.max_memory = max_memory
        self.progress = progress

    @classmethod
    def from_config(
        cls, cfg: Config, max_train_images: int | None = None, **kwargs: Any
    ) -> 'KnnEvaluator':
        """Builds the data sets and the preprocessor of a config.

        Args:
            cfg: Config with ``knn_train_dataset``, ``knn_test_dataset``, ``data_preprocessor``.
            max_train_images: Take so many of the training images, spread evenly over the data set.
            **kwargs: The remaining arguments of the class.

        Raises:
            ValueError: If the config lacks one of the three.
        """
        missing = [part for part in KNN_SETTINGS if part not in cfg]
        if missing:
            raise ValueError(
                f'the config has no {" and no ".join(missing)}, k-NN needs {KNN_SETTINGS}'
            )
        with DefaultScope.overwrite_default_scope('mmpretrain'):
            train_dataset = _build_dataset(cfg, 'knn_train_dataset')
            size = len(train_dataset)
            if max_train_images is not None and max_train_images < size:
                spread = range(0, size * max_train_images, size)
                train_dataset.get_subset_([index // max_train_images for index in spread])
            return cls(
                train_dataset,
                _build_dataset(cfg, 'knn_test_dataset'),
                MODELS.build(cfg.data_preprocessor),
                **kwargs,
            )

    @property
    def data(self) -> str:
        """What is measured on, in one line."""
        test, train = (describe(loader.dataset) for loader in (self.test_loader, self.train_loader))
        return f'{test}, classified by {train}'

    def evaluate(
        self, backbone: Any, subnets: Sequence[Subnet], features: Sequence[str] = ('cls',)
    ) -> Iterator[tuple[Subnet, dict[str, Accuracies]]]:
        """Accuracies of the sub-networks in order, as soon as each pass over the images ends.

        Args:
            backbone: Elastic backbone; it is moved to the evaluator's device.
            subnets: Sub-networks to evaluate.
            features: Kinds of features, of :data:`~poa_mm.evaluation.features.FEATURES`.

        Yields:
            A sub-network and its top-1 accuracy in percent by kind of feature and k.
        """
        backbone.to(self.device)
        size = self._subnets_per_pass(backbone, subnets, len(features))
        for start in range(0, len(subnets), size):
            yield from self._evaluate_pass(backbone, subnets[start : start + size], features)

    def pixels(self) -> dict[str, Accuracies]:
        """Accuracies in percent of the pixels as features, by kind (raw, normalised) and k."""
        train, train_labels = extract_pixels(
            self.train_loader, self.preprocessor, self._text('train pixels')
        )
        test, test_labels = extract_pixels(
            self.test_loader, self.preprocessor, self._text('test pixels')
        )
        return {
            kind: self._accuracy(train[kind], train_labels, test[kind], test_labels)
            for kind in PIXELS
        }

    def _evaluate_pass(
        self, backbone: Any, subnets: Sequence[Subnet], features: Sequence[str]
    ) -> list[tuple[Subnet, dict[str, Accuracies]]]:
        """Extracts the features of all given sub-networks at once, then classifies."""
        train, train_labels = self._extract(backbone, self.train_loader, subnets, features, 'train')
        test, test_labels = self._extract(backbone, self.test_loader, subnets, features, 'test')
        results = []
        # A list, not a generator: one bar at a time, and the caller may show its own.
        for subnet in track(subnets, 'nearest neighbours', disable=not self.progress):
            accuracies = {
                kind: self._accuracy(
                    train[subnet][kind], train_labels, test[subnet][kind], test_labels
                )
                for kind in features
            }
            results.append((subnet, accuracies))
        return results

    def _extract(
        self,
        backbone: Any,
        loader: DataLoader,
        subnets: Sequence[Subnet],
        features: Sequence[str],
        split: str,
    ) -> tuple[Features, Tensor]:
        """:func:`extract_features` with the evaluator's settings."""
        text = self._text(f'{split} features of {len(subnets)} sub-networks')
        return extract_features(
            backbone, loader, subnets, self.preprocessor, features, self.dtype, text
        )

    def _accuracy(
        self, train: Tensor, train_labels: Tensor, test: Tensor, test_labels: Tensor
    ) -> Accuracies:
        """:func:`knn_accuracy` with the evaluator's settings."""
        return knn_accuracy(
            train.to(self.device),
            train_labels.to(self.device),
            test.to(self.device),
            test_labels.to(self.device),
            self.k,
            self.temperature,
        )

    def _subnets_per_pass(self, backbone: Any, subnets: Sequence[Subnet], kinds: int) -> int:
        """Number of sub-networks whose features fit into the memory, were all of the widest."""
        widest = max(subnets, key=lambda subnet: subnet.width)
        one_image = feature_loader(Subset(self.test_loader.dataset, [0]))
        probe, _ = extract_features(backbone, one_image, [widest], self.preprocessor)
        images = num_images(self.train_loader) + num_images(self.test_loader)
        bytes_each = 4 * probe[widest]['cls'].shape[1] * kinds * images
        return max(1, int(self.max_memory * 2**30 / bytes_each))

    def _text(self, text: str) -> str | None:
        return text if self.progress else None


def _build_dataset(cfg: Config, name: str) -> Any:
    try:
        return DATASETS.build(cfg[name])
    except FileNotFoundError as error:  # which of the config's data sets it is
        raise FileNotFoundError(f'{name}: {error}') from error


def _checked_k(k: Sequence[int] | None, train_images: int) -> tuple[int, ...]:
    """The asked numbers of neighbours, checked, or those of the paper that do not exceed N."""
    if k is None:
        fitting = tuple(number for number in PAPER_KS if number <= train_images)
        return fitting or (train_images,)
    wrong = [number for number in k if not 1 <= number <= train_images]
    if wrong or not k:
        raise ValueError(
            f'k must be in [1, {train_images}], the number of training images, got {tuple(k)}'
        )
    return tuple(k)


def _check_classes(train_dataset: Dataset, test_dataset: Dataset) -> None:
    """Raises if the labels of the data sets do not correspond, or are all the same."""
    train, test = (
        getattr(dataset, 'metainfo', {}).get('classes') for dataset in (train_dataset, test_dataset)
    )
    if train is not None and test is not None and tuple(train) != tuple(test):
        differing = sorted(set(train) ^ set(test)) or 'the order'
        raise ValueError(f'the training and test images have different classes: {differing}')
    if train is not None and len(train) < 2:
        raise ValueError(f'k-NN needs two classes or more, the images have {tuple(train)}')
