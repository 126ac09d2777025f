"""Evaluation on a user's own images: a folder for each class, no config."""

from os import PathLike
from pathlib import Path
from typing import Any

from mmengine.config import Config

from poa_mm.checkpoints.build import build_on_meta
from poa_mm.checkpoints.pipelines import test_pipeline
from poa_mm.checkpoints.preprocessing import Preprocessing, preprocessing_of
from poa_mm.models.backbones.elastic_backbone import ElasticBackbone
from poa_mm.models.selfsup import Pretraining
from poa_mm.registry import ELASTIC_BACKBONES, MODELS

MONITORED = 10  # evaluations in a run


def use_labelled_folders(
    cfg: Config, train: str | PathLike, test: str | PathLike, preprocessing: Preprocessing
) -> None:
    """Change a config to evaluate on two folders of images, with a sub-folder for each class.

    Args:
        cfg: Config, changed in place: ``knn_train_dataset``, ``knn_test_dataset`` and
            ``data_preprocessor``.
        train: Folder of the images whose labels vote.
        test: Folder of the images to classify, with the same classes.
        preprocessing: Size, crop and normalisation that the network expects.

    Raises:
        FileNotFoundError: There is no such folder.
    """
    folders = {'knn_train_dataset': Path(train), 'knn_test_dataset': Path(test)}
    for folder in folders.values():
        if not folder.expanduser().is_dir():
            raise FileNotFoundError(f'there is no image folder {folder}')
    for name, folder in folders.items():
        cfg[name] = _dataset(folder, preprocessing)
    cfg.data_preprocessor = _preprocessor(preprocessing)


def use_unlabelled_folder(
    cfg: Config, folder: str | PathLike, preprocessing: Preprocessing
) -> None:
    """Change a config to evaluate on all images below a folder, flat or nested, without labels.

    Args:
        cfg: Config, changed in place: ``knn_train_dataset`` and ``data_preprocessor``.
        folder: See above.
        preprocessing: Size, crop and normalisation that the network expects.

    Raises:
        FileNotFoundError: There is no such folder.
    """
    if not Path(folder).expanduser().is_dir():
        raise FileNotFoundError(f'there is no image folder {folder}')
    cfg.knn_train_dataset = {**_dataset(Path(folder), preprocessing), 'with_label': False}
    cfg.data_preprocessor = _preprocessor(preprocessing)


def has_class_folders(folder: str | PathLike) -> bool:
    """Tell whether a folder has sub-folders."""
    return any(child.is_dir() for child in Path(folder).expanduser().iterdir())


def monitor_labelled_folders(cfg: Config, train: str | PathLike, test: str | PathLike) -> None:
    """Change a pre-training config so that its k-NN monitor evaluates on two folders of images.

    A config without a monitor gets one that evaluates :data:`MONITORED` times in a run.

    Args:
        cfg: Config of the run, changed in place.
        train: See :func:`use_labelled_folders`.
        test: See :func:`use_labelled_folders`.

    Raises:
        FileNotFoundError: There is no such folder.
        ValueError: The config does not pre-train an elastic backbone.
    """
    backbone = cfg.model.get('backbone') or {}
    model = MODELS.get(str(cfg.model.get('type'))) or object
    if not issubclass(model, Pretraining) or backbone.get('type') not in ELASTIC_BACKBONES:
        raise ValueError(
            f'--train-data is for the k-NN monitor of POA, not for a {cfg.model.get("type")}'
        )
    supernet = build_on_meta(backbone)
    assert isinstance(supernet, ElasticBackbone)  # as all that is registered as elastic
    expected = preprocessing_of(supernet, cfg)
    use_labelled_folders(cfg, train, test, expected)
    hooks = list(cfg.get('custom_hooks') or [])
    if not any(hook['type'] == 'KnnMonitorHook' for hook in hooks):
        interval = max(cfg.train_cfg.max_iters // MONITORED, 1)
        cfg.custom_hooks = [*hooks, {'type': 'KnnMonitorHook', 'interval': interval}]


def use_preprocessing(cfg: Config, preprocessing: Preprocessing) -> None:
    """Change a config so that its labelled images are prepared for other networks than its own.

    Args:
        cfg: Config, changed in place. Steps that load images stay as they are.
        preprocessing: Size, crop and normalisation that the networks expect.
    """
    for name in ('knn_train_dataset', 'knn_test_dataset'):
        if name in cfg:
            before = [dict(step) for step in cfg[name].get('pipeline') or []]
            loading = [step for step in before if 'Load' in str(step.get('type'))]
            cfg[name].pipeline = [*loading, *test_pipeline(preprocessing)]
    cfg.data_preprocessor = _preprocessor(preprocessing)


def _preprocessor(preprocessing: Preprocessing) -> dict[str, Any]:
    return {
        'type': 'SelfSupDataPreprocessor',
        'mean': list(preprocessing.mean),
        'std': list(preprocessing.std),
        'to_rgb': False,  # the pipeline converts to RGB
    }


def _dataset(folder: Path, preprocessing: Preprocessing) -> dict[str, Any]:
    return {
        'type': 'ImageFolder',
        'data_root': str(folder),
        'with_label': True,
        'test_mode': True,
        'pipeline': test_pipeline(preprocessing),
    }
