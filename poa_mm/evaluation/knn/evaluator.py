"""Weighted k-NN accuracy of networks on two labelled data sets."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from mmengine.config import Config
from torch import Tensor, nn
from torch.utils.data import Dataset

from poa_mm.elastic import Subnet
from poa_mm.evaluation.accuracy import AVERAGES
from poa_mm.evaluation.baselines import pixel_features
from poa_mm.evaluation.features import (
    evaluating,
    num_images,
)
from poa_mm.evaluation.knn.bank import Bank
from poa_mm.evaluation.knn.few_shot import few_shot_rows
from poa_mm.evaluation.knn.votes import PAPER_KS, TEMPERATURE
from poa_mm.evaluation.labelled_data import DATA_SETTINGS, LabelledData, check_classes
from poa_mm.evaluation.network_features import FeatureReader, NetworkFeatures
from poa_mm.evaluation.networks.measured import Measured, MeasuredSupernet, Network
from poa_mm.evaluation.store import FeatureStore
from poa_mm.models.backbones import ElasticBackbone

__all__ = ['Accuracies', 'KnnEvaluator', 'KnnScores']

KNN_SETTINGS = DATA_SETTINGS  # the keys of a config that k-NN reads
Accuracies = dict[int, float]  # top-1 in percent by k


@dataclass(frozen=True)
class KnnScores:
    """Accuracies of one network with one kind of feature.

    Args:
        accuracies: With all training images, by k.
        few_shot: With few training images of each class, by their number; of each draw, by k.
    """

    accuracies: Accuracies
    few_shot: dict[int, list[Accuracies]] = field(default_factory=dict)


class KnnEvaluator:
    """Classify one data set by weighted k-NN among the images of another, for many networks.

    Args:
        train_dataset: Labelled images that vote, as :func:`feature_loader` takes them.
        test_dataset: Images to classify, with the same classes.
        preprocessor: mmengine data preprocessor that normalises the images.
        k: Numbers of neighbours. Defaults to those of the paper that do not exceed the number of
            training images.
        temperature: T of :func:`~poa_mm.evaluation.knn.votes.knn_predict`.
        batch_size: Images per forward pass.
        num_workers: Processes that read images.
        device: Where networks and neighbour search run.
        dtype: Autocast precision of supernets that are given to :meth:`evaluate`.
        max_memory: Main memory for features in GiB. If the features of all networks exceed it,
            the images are read several times. One network always runs, whatever its size.
        progress: Whether to show progress bars.
        average: ``'micro'``, the share of images, or ``'macro'``, the mean over classes.
        per_class: Numbers of training images of each class, for few-shot banks.
        draws: Few-shot banks of each number.
        bank_dtype: That features are kept in. Half of the memory in float16.
        shared: Whether the processes of torchrun share images and bank; otherwise each does all.
        store: Keeps features for later, and has those of before.
        settings: How images are prepared, as plain data, to tell stored features apart.

    Raises:
        ValueError: A data set is empty or unlabelled, the classes differ or there is a single one,
            a k exceeds the number of training images, the temperature is not positive, there are
            no draws, or a class has fewer images than a few-shot bank.
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
        average: str = 'micro',
        per_class: Sequence[int] = (),
        draws: int = 5,
        bank_dtype: torch.dtype = torch.float32,
        shared: bool = False,
        store: FeatureStore | None = None,
        settings: dict[str, Any] | None = None,
    ) -> None:
        if not temperature > 0:  # before hours of feature extraction
            raise ValueError(f'temperature must be > 0, got {temperature}')
        if average not in AVERAGES:
            raise ValueError(f'average must be one of {tuple(AVERAGES)}, got {average!r}')
        if per_class and (min(per_class) < 1 or draws < 1):
            raise ValueError(
                f'images of a class and draws must be positive, got {tuple(per_class)} and {draws}'
            )
        if per_class and hasattr(train_dataset, 'get_gt_labels'):
            few_shot_rows(torch.as_tensor(train_dataset.get_gt_labels()), max(per_class))
        data = LabelledData(train_dataset, test_dataset, preprocessor, settings or {})
        self.device = torch.device(device)
        self.reader = FeatureReader(
            data,
            batch_size,
            num_workers,
            self.device,
            max_memory,
            bank_dtype,
            shared,
            store,
            progress,
        )
        check_classes(train_dataset, test_dataset)
        self.labelled = data
        self.train_loader, self.test_loader = self.reader.loaders.values()
        self.k = _checked_k(k, num_images(self.train_loader))
        self.temperature = temperature
        self.preprocessor = self.reader.preprocessor
        self.dtype = dtype
        self.average = average
        self.per_class = tuple(per_class)
        self.draws = draws

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
        return cls.of(LabelledData.from_config(cfg, max_train_images), **kwargs)

    @classmethod
    def of(cls, data: LabelledData, **kwargs: Any) -> 'KnnEvaluator':
        """Evaluate on two data sets; ``kwargs`` are the remaining arguments of the class."""
        return cls(data.train, data.test, data.preprocessor, settings=data.settings, **kwargs)

    @property
    def data(self) -> str:
        """The two data sets in one line."""
        return str(self.labelled)

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
        measured = MeasuredSupernet(backbone, subnets, device=self.device, dtype=self.dtype)
        with evaluating(backbone):
            for network, scores in self.evaluate_networks(measured, kinds=features, keep=False):
                assert network.subnet is not None  # of a supernet
                yield network.subnet, {kind: one.accuracies for kind, one in scores.items()}

    def evaluate_networks(
        self,
        measured: Measured,
        networks: Sequence[Network] | None = None,
        kinds: Sequence[str] = ('cls',),
        keep: bool = True,
    ) -> Iterator[tuple[Network, dict[str, KnnScores]]]:
        """Evaluate networks in order; yield the results of each as soon as it is classified.

        Args:
            measured: Networks in evaluation mode, on the evaluator's device.
            networks: Which of ``measured.networks``; all by default.
            kinds: Kinds of features, of :data:`~poa_mm.evaluation.features.FEATURES`.
            keep: Whether the store, if there is one, is for these networks.

        Yields:
            A network and its scores by kind of feature, the same on all processes.
        """
        for features in self.reader.read(measured, networks, kinds, keep):
            yield features.network, {kind: self._scores(features, kind) for kind in kinds}

    def pixels(self) -> dict[str, Accuracies]:
        """Evaluate pixels as features, of all :data:`~poa_mm.evaluation.features.PIXELS`."""
        return {
            kind: self._accuracies(
                Bank.whole(
                    splits['train'].features['cls'].to(self.device),
                    splits['train'].labels.to(self.device),
                ),
                splits['test'].features['cls'],
                splits['test'].labels,
                self.k,
            )
            for kind, splits in pixel_features(self.reader).items()
        }

    def _scores(self, features: NetworkFeatures, kind: str) -> KnnScores:
        train, test = features.train, features.test.gathered()
        bank = Bank(
            train.features[kind].to(self.device),
            train.rows.to(self.device),
            train.labels.to(self.device),
            self.reader.shared,
        )
        few_shot = {}
        for number in self.per_class:
            banks = [bank.few_shot(number, draw) for draw in range(self.draws)]
            count = len(banks[0].labels)
            fitting = tuple(k for k in self.k if k <= count) or (count,)
            few_shot[number] = [
                self._accuracies(few, test.features[kind], test.labels, fitting) for few in banks
            ]
        whole = self._accuracies(bank, test.features[kind], test.labels, self.k)
        return KnnScores(whole, few_shot)

    def _accuracies(self, bank: Bank, test: Tensor, labels: Tensor, k: Sequence[int]) -> Accuracies:
        predictions = bank.predict(test.to(self.device), k, self.temperature)
        labels = labels.to(self.device)
        return {
            number: AVERAGES[self.average](predicted, labels)
            for number, predicted in predictions.items()
        }


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
