"""Complete a config with what its data and its checkpoint decide.

In ``configs/cls/finetune_poa_folder.py`` a user names images and a sub-network. The classes are
those of the folders; the class of the backbone, its sizes, the width of the head, the size of the
images and their normalisation are those of the sub-network. The tools fill them in when they load
the config, so what a run saves is a plain config of mmpretrain that needs neither the supernet
nor the folders to build the model again.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config

from poa_mm.checkpoints.pipelines import test_pipeline
from poa_mm.classification.layout import find_classes, find_layout
from poa_mm.classification.network import Network, open_network
from poa_mm.datasets.listing import first_of

FOLDERS, OPEN = 'ClassFolders', 'FromCheckpoint'  # types that stand for what is to be filled in
LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')
SPLITTING = ('held_out', 'split_seed')  # what all parts of a folder must agree on


def complete(cfg: Config) -> None:
    """Fill in the classes of ``ClassFolders`` and a backbone of the type ``FromCheckpoint``.

    A config without these, or a complete one, stays as it is. ``model.train_cfg.augments=[]`` means
    that no images are mixed.

    Args:
        cfg: Config with all options applied, changed in place.

    Raises:
        FileNotFoundError: No such folder or checkpoint.
        ValueError: Folders that are no classes, a checkpoint that holds no network, or settings
            that contradict them.
    """
    if _dataset(cfg, LOADERS[0]).get('type') == FOLDERS:
        _complete_data(cfg)
    model = cfg.get('model') or {}
    if (model.get('backbone') or {}).get('type') == OPEN:
        _complete_network(cfg)
    if not (model.get('train_cfg') or {}).get('augments', ...):
        cfg.model.train_cfg = None  # mmpretrain would draw one of no ways to mix images


def _complete_data(cfg: Config) -> None:
    """Give all data sets the same folder, split and classes, and the model their number."""
    train = _dataset(cfg, LOADERS[0])
    others = [d for name in LOADERS[1:] if (d := _dataset(cfg, name)).get('type') == FOLDERS]
    root = train.data_root
    for dataset in others:
        if dataset.get('data_root') is None:
            dataset.data_root = root
        root = dataset.data_root  # without one of its own, a test is on what is validated on
        if _is_same(dataset.data_root, train.data_root):
            continue
        dataset.held_out = None  # all that is there
        if dataset.get('part') == 'val':
            train.held_out = None
    for dataset in others:
        if _is_same(dataset.data_root, train.data_root):
            dataset.update({key: train[key] for key in SPLITTING if key in train})
    given = (train.get('metainfo') or {}).get('classes')
    classes = tuple(given or find_classes(find_layout(train.data_root)))
    for dataset in (train, *others):
        dataset.metainfo = {'classes': classes}
    _set_num_classes(cfg, classes)


def _is_same(one: str, other: str) -> bool:
    """Tell whether two paths, however they are written, are the same folder."""
    return Path(one).expanduser().resolve() == Path(other).expanduser().resolve()


def _set_num_classes(cfg: Config, classes: Sequence[str]) -> None:
    number = len(classes)
    head = cfg.model.head
    if head.get('num_classes') not in (None, number):
        raise ValueError(
            f'model.head.num_classes is {head.num_classes}, but there are {number} classes: '
            f'{first_of(classes)}'
        )
    head.num_classes = number


def _complete_network(cfg: Config) -> None:
    """Put the class and the sizes of a network into a config, and what images it expects."""
    model = cfg.model
    settings = {key: value for key, value in model.backbone.items() if key != 'type'}
    start = settings.get('init_cfg')
    checkpoint = start.get('checkpoint') if isinstance(start, Mapping) else None
    if not isinstance(checkpoint, str):
        raise ValueError(
            f'model.backbone.init_cfg.checkpoint must name a sub-network or a file, got '
            f'{checkpoint!r}'
        )
    if settings.pop('random_weights', False):
        del settings['init_cfg']
    network = open_network(checkpoint, settings.pop('img_size', None), settings)
    model.backbone = network.backbone
    if network.neck is not None and model.get('neck') is None:
        model.neck = network.neck
    model.head.in_channels = network.width
    _set_preprocessing(cfg, network)
    cfg.run_notes = [*cfg.get('run_notes', []), *network.notes]


def _set_preprocessing(cfg: Config, network: Network) -> None:
    images = network.images
    cfg.model.data_preprocessor = {
        'type': 'ClsDataPreprocessor',
        'mean': list(images.mean),
        'std': list(images.std),
        'to_rgb': False,  # the pipelines have done it
        'num_classes': cfg.model.head.get('num_classes'),
    }
    for name in LOADERS:
        dataset = _dataset(cfg, name)
        if not dataset:
            continue
        if not dataset.get('pipeline'):
            dataset.pipeline = test_pipeline(images)
            continue
        steps: list[Any] = []
        for step in dataset.pipeline:
            if step.get('scale', ...) is None:
                step.scale = list(images.image_size)
            steps.append(step)
            if step.type == 'NumpyToPIL' and images.mode == 'L':
                steps.append({'type': 'torchvision/Grayscale'})
        dataset.pipeline = steps


def _dataset(cfg: Config, loader: str) -> Any:
    return (cfg.get(loader) or {}).get('dataset') or {}
