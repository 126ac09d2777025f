"""Two labelled data sets, to learn from and to evaluate on; or images without labels."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.registry import DefaultScope
from torch import nn

from poa_mm.datasets.description import describe
from poa_mm.evaluation.results import data_name, data_sha256
from poa_mm.models.backbones.elastic_backbone import plain_data
from poa_mm.registry import DATASETS, MODELS

__all__ = ['DATA_SETTINGS', 'LabelledData', 'UnlabelledData', 'check_classes']

# The keys of a config that say what is evaluated on.
DATA_SETTINGS = ('knn_train_dataset', 'knn_test_dataset', 'data_preprocessor')


@dataclass(frozen=True)
class LabelledData:
    """Two labelled data sets with the same classes, and how their images are normalised.

    Args:
        train: Images to learn from: the bank of k-NN, the training images of a linear probe.
        test: Images to evaluate on.
        preprocessor: mmengine data preprocessor.
        settings: How images are prepared, as plain data, to tell features apart.
    """

    labelled: ClassVar[bool] = True
    train: BaseDataset
    test: BaseDataset
    preprocessor: nn.Module
    settings: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def from_config(cls, cfg: Config, max_train_images: int | None = None) -> 'LabelledData':
        """Build the data sets and the preprocessor of a config.

        Args:
            cfg: Config with ``knn_train_dataset``, ``knn_test_dataset``, ``data_preprocessor``.
            max_train_images: Number of training images to take, spread evenly over the data set.

        Raises:
            FileNotFoundError: A folder or file of a data set is missing.
            ValueError: The config lacks one of the three keys.
        """
        missing = [part for part in DATA_SETTINGS if part not in cfg]
        if missing:
            raise ValueError(
                f'the config has no {" and no ".join(missing)}, k-NN needs {DATA_SETTINGS}'
            )
        with DefaultScope.overwrite_default_scope('mmpretrain'):
            train = _build_dataset(cfg, 'knn_train_dataset')
            size = len(train)
            if max_train_images is not None and max_train_images < size:
                spread = range(0, size * max_train_images, size)
                train.get_subset_([index // max_train_images for index in spread])
            return cls(
                train,
                _build_dataset(cfg, 'knn_test_dataset'),
                MODELS.build(cfg.data_preprocessor),
                {
                    'train': plain_data(cfg.knn_train_dataset.get('pipeline', ())),
                    'test': plain_data(cfg.knn_test_dataset.get('pipeline', ())),
                    'preprocessor': plain_data(cfg.data_preprocessor),
                },
            )

    def __str__(self) -> str:
        """Describe both in one line."""
        return f'{describe(self.test)}, classified by {describe(self.train)}'

    @property
    def name(self) -> str:
        """Name of the data set in results, of :func:`~poa_mm.evaluation.results.data_name`."""
        return data_name(self.test)

    @cached_property
    def sha256(self) -> dict[str, str]:
        """What tells data sets apart, of :func:`~poa_mm.evaluation.results.data_sha256`."""
        return {'train': data_sha256(self.train), 'test': data_sha256(self.test)}

    @property
    def both_sha256(self) -> str:
        """Both sums in one text, as results have them."""
        return f'{self.sha256["train"]} {self.sha256["test"]}'


@dataclass(frozen=True)
class UnlabelledData:
    """Images without labels, and how they are normalised: what measures without labels take.

    Args:
        train: The images.
        preprocessor: mmengine data preprocessor.
        settings: How images are prepared, as plain data, to tell features apart.
    """

    labelled: ClassVar[bool] = False
    train: BaseDataset
    preprocessor: nn.Module
    settings: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def from_config(cls, cfg: Config) -> 'UnlabelledData':
        """Build the data set and the preprocessor of a config.

        Args:
            cfg: Config with ``knn_train_dataset`` and ``data_preprocessor``.

        Raises:
            FileNotFoundError: A folder or file of the data set is missing.
            ValueError: The config lacks one of the two keys.
        """
        needed = ('knn_train_dataset', 'data_preprocessor')
        missing = [part for part in needed if part not in cfg]
        if missing:
            raise ValueError(
                f'the config has no {" and no ".join(missing)}: give --train-data, a folder of '
                'images'
            )
        with DefaultScope.overwrite_default_scope('mmpretrain'):
            return cls(
                _build_dataset(cfg, 'knn_train_dataset'),
                MODELS.build(cfg.data_preprocessor),
                {
                    'train': plain_data(cfg.knn_train_dataset.get('pipeline', ())),
                    'preprocessor': plain_data(cfg.data_preprocessor),
                },
            )

    def __str__(self) -> str:
        """Describe the images in one line."""
        return f'{describe(self.train)}, without labels'

    @property
    def test(self) -> BaseDataset:
        """Images to evaluate on, of which there are none without labels.

        Raises:
            ValueError: Always.
        """
        raise ValueError(f'{describe(self.train)} come without labels: there is nothing to test on')

    @property
    def name(self) -> str:
        """Name of the data set in results, of :func:`~poa_mm.evaluation.results.data_name`."""
        return data_name(self.train)

    @cached_property
    def both_sha256(self) -> str:
        """What tells data sets apart, of :func:`~poa_mm.evaluation.results.data_sha256`."""
        return data_sha256(self.train)


def check_classes(train: object, test: object) -> None:
    """Check that both data sets have the same classes, two or more.

    Raises:
        ValueError: The classes differ, or there is a single one.
    """
    of_train, of_test = (
        (getattr(dataset, 'metainfo', None) or {}).get('classes') for dataset in (train, test)
    )
    if of_train is not None and of_test is not None and tuple(of_train) != tuple(of_test):
        differing = sorted(set(of_train) ^ set(of_test)) or 'the order'
        raise ValueError(f'the training and test images have different classes: {differing}')
    if of_train is not None and len(of_train) < 2:
        raise ValueError(f'k-NN needs two classes or more, the images have {tuple(of_train)}')


def _build_dataset(cfg: Config, name: str) -> BaseDataset:
    try:
        return DATASETS.build(cfg[name])
    except FileNotFoundError as error:  # say which data set of the config it is
        raise FileNotFoundError(f'{name}: {error}') from error
