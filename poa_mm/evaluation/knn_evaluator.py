"""Weighted k-NN accuracy of sub-networks on two labelled data sets."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dataset import BaseDataset
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
from poa_mm.models.backbones import ElasticBackbone
from poa_mm.registry import DATASETS, MODELS

__all__ = ['Accuracies', 'KnnEvaluator']

# The keys of a config that k-NN reads.
KNN_SETTINGS = ('knn_train_dataset', 'knn_test_dataset', 'data_preprocessor')
Accuracies = dict[int, float]  # top-1 in percent by k


class KnnEvaluator:
    """Classify one data set by weighted k-NN among the images of another, for many sub-networks.

    Args:
        train_dataset: Labelled images that vote, as :func:`feature_loader` takes them.
        test_dataset: Images to classify, with the same classes.
        preprocessor: mmengine data preprocessor that normalises the images.
        k: Numbers of neighbours. Defaults to those of the paper that do not exceed the number of
            training images.
        temperature: T of :func:`~poa_mm.evaluation.knn.knn_predict`.
        batch_size: Images per forward pass.
        num_workers: Processes that read images.
        device: Where networks and neighbour search run.
        dtype: Autocast precision of the networks.
        max_memory: Main memory for features in GiB. If the features of all sub-networks exceed it,
            the images are read several times. One sub-network always runs, whatever its size.
        progress: Whether to show progress bars.

    Raises:
        ValueError: A data set is empty or unlabelled, the classes differ or there is a single one,
            a k exceeds the number of training images, or the temperature is not positive.
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
        """Build the data sets and the preprocessor of a config.

        Args:
            cfg: Config with ``knn_train_dataset``, ``knn_test_dataset``, ``data_preprocessor``.
            max_train_images: Number of training images to take, spread evenly over the data set.
            **kwargs: The remaining arguments of the class.

        Raises:
            ValueError: The config lacks one of the three keys.
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
        """The two data sets in one line."""
        test, train = (describe(loader.dataset) for loader in (self.test_loader, self.train_loader))
        return f'{test}, classified by {train}'

    def evaluate(
        self,
        backbone: ElasticBackbone,
        subnets: Sequence[Subnet],
        features: Sequence[str] = ('cls',),
    ) -> Iterator[tuple[Subnet, dict[str, Accuracies]]]:
        """Evaluate sub-networks in order; yield the results after each pass over the images.

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
        """Evaluate pixels as features, of all :data:`~poa_mm.evaluation.features.PIXELS`."""
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
        self, backbone: ElasticBackbone, subnets: Sequence[Subnet], features: Sequence[str]
    ) -> list[tuple[Subnet, dict[str, Accuracies]]]:
        """Extract the features of all given sub-networks at once, then classify."""
        train, train_labels = self._extract(backbone, self.train_loader, subnets, features, 'train')
        test, test_labels = self._extract(backbone, self.test_loader, subnets, features, 'test')
        results = []
        # Collected, not yielded: the caller may show a progress bar of its own in between.
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
        backbone: ElasticBackbone,
        loader: DataLoader,
        subnets: Sequence[Subnet],
        features: Sequence[str],
        split: str,
    ) -> tuple[Features, Tensor]:
        """Call :func:`extract_features` with the evaluator's settings."""
        text = self._text(f'{split} features of {len(subnets)} sub-networks')
        return extract_features(
            backbone, loader, subnets, self.preprocessor, features, self.dtype, text
        )

    def _accuracy(
        self, train: Tensor, train_labels: Tensor, test: Tensor, test_labels: Tensor
    ) -> Accuracies:
        """Call :func:`knn_accuracy` with the evaluator's settings."""
        return knn_accuracy(
            train.to(self.device),
            train_labels.to(self.device),
            test.to(self.device),
            test_labels.to(self.device),
            self.k,
            self.temperature,
        )

    def _subnets_per_pass(
        self, backbone: ElasticBackbone, subnets: Sequence[Subnet], kinds: int
    ) -> int:
        """Count the sub-networks that fit into the memory if all have the widest features."""
        widest = max(subnets, key=lambda subnet: subnet.width)
        one_image = feature_loader(Subset(self.test_loader.dataset, [0]))
        probe, _ = extract_features(backbone, one_image, [widest], self.preprocessor)
        images = num_images(self.train_loader) + num_images(self.test_loader)
        bytes_each = 4 * probe[widest]['cls'].shape[1] * kinds * images
        return max(1, int(self.max_memory * 2**30 / bytes_each))

    def _text(self, text: str) -> str | None:
        return text if self.progress else None


def _build_dataset(cfg: Config, name: str) -> BaseDataset:
    try:
        return DATASETS.build(cfg[name])
    except FileNotFoundError as error:  # say which data set of the config it is
        raise FileNotFoundError(f'{name}: {error}') from error


def _checked_k(k: Sequence[int] | None, train_images: int) -> tuple[int, ...]:
    """Check the numbers of neighbours; default to those of the paper that do not exceed N."""
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
    """Check that both data sets have the same classes, two or more."""
    train, test = (
        getattr(dataset, 'metainfo', {}).get('classes') for dataset in (train_dataset, test_dataset)
    )
    if train is not None and test is not None and tuple(train) != tuple(test):
        differing = sorted(set(train) ^ set(test)) or 'the order'
        raise ValueError(f'the training and test images have different classes: {differing}')
    if train is not None and len(train) < 2:
        raise ValueError(f'k-NN needs two classes or more, the images have {tuple(train)}')
