"""Open a fine-tuned classifier to teach another one, from its checkpoint alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mmpretrain.models import ImageClassifier
from torch import nn

from poa_mm.engine.config_diff import parse_config
from poa_mm.file_kinds import kind_of_content, with_kind
from poa_mm.files import check_file, read_file
from poa_mm.models.backbones.pretrained import load_pretrained
from poa_mm.registry import build_model

OF_DISTILLATION = ('teacher', 'temperature', 'distill_weight')  # settings of the student alone
IMAGES = ('mean', 'std', 'to_rgb')  # settings of how a model takes its images


@dataclass(frozen=True)
class Teacher:
    """A frozen classifier.

    Args:
        net: In evaluation mode, without gradients.
        classes: Names of its classes, empty where the checkpoint does not say.
    """

    net: ImageClassifier
    classes: tuple[str, ...]


def open_teacher(path: str) -> Teacher:
    """Open the checkpoint of a classifier that tools/train.py has written.

    Its config is in the file; the weights are the averaged ones where it has an average.

    Args:
        path: The checkpoint.

    Raises:
        FileNotFoundError: No such file.
        ValueError: No checkpoint of a classifier, or weights that do not fit its config.
    """
    check_file(path, 'checkpoint of the teacher')
    content = read_file(path)
    meta = content.get('meta') if isinstance(content, Mapping) else None
    cfg = _model_cfg(meta if isinstance(meta, Mapping) else {}, path, content)
    try:
        net = build_model(cfg)
    except (AssertionError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f'the config in {path} builds no classifier: {error}') from error
    if not isinstance(net, ImageClassifier) or not hasattr(net.head, 'num_classes'):
        raise ValueError(
            f'the teacher {path} is a {type(net).__name__}, no classifier: fine-tune it first with '
            'a config of configs/cls'
        )
    load_pretrained(net, path)
    net.requires_grad_(False)
    net.train(False)
    classes = (meta or {}).get('dataset_meta') or {}
    return Teacher(net, tuple(classes.get('classes') or ()))


def check_teacher(teacher: Teacher, student: nn.Module, path: str) -> None:
    """Check that a teacher answers the student's question, about the same images.

    Raises:
        ValueError: It has another number of classes, or takes images that are normalised otherwise.
    """
    theirs, ours = teacher.net.head.num_classes, student.head.num_classes  # type: ignore[union-attr]
    if theirs != ours:
        raise ValueError(
            f'the teacher {path} has {theirs} classes, the model {ours}: fine-tune both on the '
            'same classes'
        )
    for name in IMAGES:
        pair = [_plain(getattr(m.data_preprocessor, name, None)) for m in (teacher.net, student)]
        if pair[0] != pair[1]:
            raise ValueError(
                f'the teacher {path} takes images with {name}={pair[0]}, the model with {pair[1]}'
            )


def _model_cfg(meta: Mapping[str, Any], path: str, content: Any) -> dict[str, Any]:
    """Find the config of the plain classifier in a checkpoint."""
    text = meta.get('cfg')
    try:
        cfg = parse_config(text)['model'] if isinstance(text, str) else None
    except (KeyError, ValueError):
        cfg = None
    if not isinstance(cfg, dict):
        reason = f'the teacher {path} is no checkpoint of a fine-tuning, which holds its config'
        raise ValueError(with_kind(reason, kind_of_content(content)))
    if any(key in cfg for key in OF_DISTILLATION):  # it was a student itself
        cfg = {key: value for key, value in cfg.items() if key not in OF_DISTILLATION}
        cfg['type'] = 'ImageClassifier'
    return cfg


def _plain(value: Any) -> Any:
    return value.flatten().tolist() if hasattr(value, 'flatten') else value
