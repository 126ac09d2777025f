"""Open a fine-tuned classifier to teach another one, from its checkpoint alone."""

from typing import Any

from mmpretrain.models import ImageClassifier
from torch import nn

from poa_mm.classification.open_classifier import Network, open_network
from poa_mm.files import check_file

IMAGES = ('mean', 'std', 'to_rgb')  # settings of how a model takes its images


def open_teacher(path: str) -> Network:
    """Open the checkpoint of a classifier to learn from, without gradients.

    The weights are the averaged ones where the run has an average.

    Args:
        path: The checkpoint.

    Raises:
        FileNotFoundError: As :func:`~poa_mm.classification.open_classifier.open_classifier`.
        ValueError: Likewise, or a classifier of another kind than of whole images.
    """
    check_file(path, 'checkpoint of the teacher')
    teacher = open_network(path)
    if not isinstance(teacher.model, ImageClassifier) or not hasattr(
        teacher.model.head, 'num_classes'
    ):
        raise ValueError(
            f'the teacher {path} is a {type(teacher.model).__name__} without a number of classes: '
            'fine-tune it with a config of configs/cls'
        )
    teacher.model.requires_grad_(False)
    return teacher


def check_teacher(teacher: Network, student: nn.Module, path: str) -> None:
    """Check that a teacher answers the student's question, about the same images.

    Raises:
        ValueError: It has another number of classes, or takes images that are normalised otherwise.
    """
    theirs, ours = (model.head.num_classes for model in (teacher.model, student))  # type: ignore[union-attr]
    if theirs != ours:
        raise ValueError(
            f'the teacher {path} has {theirs} classes, the model {ours}: fine-tune both on the '
            'same classes'
        )
    for name in IMAGES:
        pair = [_plain(getattr(m.data_preprocessor, name, None)) for m in (teacher.model, student)]
        if pair[0] != pair[1]:
            raise ValueError(
                f'the teacher {path} takes images with {name}={pair[0]}, the model with {pair[1]}'
            )


def _plain(value: Any) -> Any:
    return value.flatten().tolist() if hasattr(value, 'flatten') else value
