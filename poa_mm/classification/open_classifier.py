"""Open a trained classifier: its network, its classes, and how images are prepared for it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import torch
from mmengine.dataset import Compose
from mmengine.registry import DefaultScope
from mmpretrain.datasets import remove_transform
from mmpretrain.models import BaseClassifier

from poa_mm.checkpoints.config_file import read_config
from poa_mm.engine.config_diff import parse_config
from poa_mm.file_kinds import kind_of_content, with_kind
from poa_mm.files import BACKBONE_INFO, SUPERNET_INFO, read_file
from poa_mm.models.backbones.pretrained import load_pretrained
from poa_mm.registry import TRANSFORMS, build_model

SCOPE = 'mmpretrain'
LOADERS = ('test_dataloader', 'val_dataloader')
LOADING = ('LoadImageFromFile', 'LoadImage')  # transforms; images come decoded
# Settings of a model that start or train it: the weights are loaded at once.
TRAINING = ('init_cfg', 'pretrained', 'train_cfg', 'batch_augments')
FINE_TUNE = 'train a classifier on it with configs/cls/finetune_poa_folder.py'


class Network(NamedTuple):
    """The network of a trained classifier, and what its checkpoint says of it.

    Attributes:
        model: A classifier of mmpretrain in evaluation mode, with its data preprocessor.
        names: Names of its classes, in the order of its scores; empty where nothing names them.
        cfg: Config of the run.
        source: What that was read from, for messages.
    """

    model: BaseClassifier
    names: tuple[str, ...]
    cfg: Mapping[str, Any]
    source: str


@dataclass(frozen=True)
class Classifier:
    """A trained classifier.

    Attributes:
        model: A classifier of mmpretrain in evaluation mode, with its data preprocessor.
        classes: Names of its classes, in the order of its scores.
        pipeline: From a decoded image, ``dict(img, img_shape, ori_shape, …)``, to what ``model``
            takes a batch of.
    """

    model: BaseClassifier
    classes: Sequence[str]
    pipeline: Compose


def open_classifier(
    checkpoint: str | PathLike,
    config: str | PathLike | None = None,
    device: torch.device | str = 'cpu',
) -> Classifier:
    """Open the checkpoint of a classifier of mmpretrain.

    Its weights are those that validation has measured: where a run averages them, the average.

    Args:
        checkpoint: Of a training run, or of ``tools/eval_linear.py``.
        config: Config of the run. By default the one in the checkpoint, which is read without
            running it, else the file of the same name beside it, ``NAME.py``.
        device: Where to put the network.

    Raises:
        FileNotFoundError: No such file, or no config.
        ValueError: The checkpoint of something else, weights that do not fit the config, or another
            number of names than of classes.
    """
    model, names, cfg, source = open_network(checkpoint, config)
    model.to(device)
    return Classifier(model, names or _numbers(model, checkpoint), _pipeline(cfg, source))


def open_network(checkpoint: str | PathLike, config: str | PathLike | None = None) -> Network:
    """Open the network of a classifier alone, on the CPU; see :func:`open_classifier`."""
    content = read_file(checkpoint)
    _check_kind(content, checkpoint)
    cfg, source = _config(content, checkpoint, config)
    model = _build(cfg, source)
    load_pretrained(model, str(checkpoint))
    model.eval()
    return Network(model, _names(content, model, checkpoint), cfg, source)


def _check_kind(content: Any, path: str | PathLike) -> None:
    for key, what in ((SUPERNET_INFO, 'a supernet'), (BACKBONE_INFO, 'an extracted backbone')):
        if isinstance(content, Mapping) and key in content:
            raise ValueError(f'{path} holds {what}, which knows no classes: {FINE_TUNE}')
    if not isinstance(content, Mapping) or not isinstance(content.get('state_dict'), Mapping):
        message = f'{path} is not a checkpoint of a classifier: it holds no state_dict'
        raise ValueError(with_kind(message, kind_of_content(content)))


def _config(
    content: Mapping[str, Any], checkpoint: str | PathLike, config: str | PathLike | None
) -> tuple[Mapping[str, Any], str]:
    """Return the config of a classifier, and what it was read from."""
    if config is not None:
        return read_config(config), str(config)
    text = (content.get('meta') or {}).get('cfg')
    beside = Path(checkpoint).with_suffix('.py')
    if isinstance(text, str) and text:
        try:
            return parse_config(text), f'the config in {checkpoint}'
        except ValueError as error:  # it holds objects, which no text can say
            if not beside.is_file():
                raise ValueError(
                    f'the config in {checkpoint} cannot be read ({error}): put that of its '
                    f'run at {beside}'
                ) from error
    if not beside.is_file():
        raise FileNotFoundError(
            f'{checkpoint} holds no config, and there is none at {beside}: copy that of '
            'its run there'
        )
    return read_config(beside), str(beside)


def _build(cfg: Mapping[str, Any], source: str) -> BaseClassifier:
    described = cfg.get('model')
    if not isinstance(described, Mapping) or 'head' not in described:
        raise ValueError(f'{source} describes no classifier: its model has no head')
    parts: dict[str, Any] = {'data_preprocessor': cfg.get('data_preprocessor'), **described}
    model = build_model(_without(parts, TRAINING))
    if not isinstance(model, BaseClassifier):
        raise ValueError(f'{source} describes a {type(model).__name__}, no classifier')
    return model


def _without(value: Any, names: Sequence[str]) -> Any:
    """Copy a config without the settings of some names, at any depth, or with no value."""
    if isinstance(value, Mapping):
        kept = {key: item for key, item in value.items() if key not in names and item is not None}
        return {key: _without(item, names) for key, item in kept.items()}
    return [_without(item, names) for item in value] if isinstance(value, list | tuple) else value


def _pipeline(cfg: Mapping[str, Any], source: str) -> Compose:
    """Build the transforms of the test, but for those that load images."""
    for loader in LOADERS:
        dataset = (cfg.get(loader) or {}).get('dataset')
        while isinstance(dataset, Mapping):
            if dataset.get('pipeline'):
                steps = [dict(step) for step in dataset['pipeline']]
                for name in LOADING:
                    steps = remove_transform(steps, name)
                with DefaultScope.overwrite_default_scope(SCOPE):
                    return Compose([TRANSFORMS.build(step) for step in steps])
            dataset = dataset.get('dataset')  # in one that repeats or mixes
    raise ValueError(f'{source} has no pipeline of {" or ".join(LOADERS)}: how to prepare images?')


def _names(
    content: Mapping[str, Any], model: BaseClassifier, path: str | PathLike
) -> tuple[str, ...]:
    """Return the names of the classes, if the checkpoint has them."""
    meta = (content.get('meta') or {}).get('dataset_meta') or {}
    names = meta.get('classes') or meta.get('CLASSES') or ()
    number = getattr(model.head, 'num_classes', None)
    if names and number not in (None, len(names)):
        raise ValueError(
            f'{path} names {len(names)} classes, but its head has {number}: it is of another data '
            'set than its config'
        )
    return tuple(map(str, names))


def _numbers(model: BaseClassifier, path: str | PathLike) -> tuple[str, ...]:
    """Number the classes that nothing names."""
    number = getattr(model.head, 'num_classes', None)
    if number is None:
        raise ValueError(f'{path} does not say how many classes it knows')
    return tuple(map(str, range(number)))
