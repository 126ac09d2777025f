"""Fine-tune a classifier on the answers of a larger one beside the labels."""

from typing import Any

import torch
from mmengine.logging import print_log
from mmpretrain.models import ImageClassifier
from mmpretrain.structures import DataSample
from torch import Tensor
from torch.nn import functional

from poa_mm.classification.open_classifier import Network
from poa_mm.classification.teacher import check_teacher, open_teacher
from poa_mm.registry import MODELS


@MODELS.register_module()
class DistilledImageClassifier(ImageClassifier):
    """mmpretrain's ``ImageClassifier``, taught by a larger one that was fine-tuned before.

    The loss is (1 − w) · loss of the head + w · T² · KL(teacher ‖ student), both softened by the
    temperature T, on the same images: mixed ones, too, of which the teacher sees the mixture.

    The teacher is frozen, in evaluation mode, and no part of the model: not of its parameters, its
    checkpoints or its average, and a test needs no teacher. It is opened when weights are
    initialised, that is before the first step of a run.

    Args:
        *args: Those of ``ImageClassifier``, as are ``kwargs``.
        teacher: Checkpoint of a classifier that tools/train.py has written; its config is in it.
        temperature: T, more than 0.
        distill_weight: w, from 0 to 1.

    Raises:
        ValueError: No teacher is named; T or w is out of its range. When weights are initialised, a
            file that holds no classifier, or one of other classes or images.
        FileNotFoundError: When weights are initialised, if there is no such file.
    """

    def __init__(
        self,
        *args: Any,
        teacher: str | None = None,
        temperature: float = 1.0,
        distill_weight: float = 0.5,
        **kwargs: Any,
    ) -> None:
        if not teacher:
            raise ValueError(
                f'{type(self).__name__} needs model.teacher, the checkpoint of a classifier that '
                'was fine-tuned before'
            )
        if not temperature > 0:
            raise ValueError(f'temperature must be positive, got {temperature}')
        if not 0 <= distill_weight <= 1:
            raise ValueError(f'distill_weight must be from 0 to 1, got {distill_weight}')
        super().__init__(*args, **kwargs)
        self.temperature = temperature
        self.distill_weight = distill_weight
        self._teacher = _Aside(teacher)

    def init_weights(self) -> None:
        """Initialise the student, and open the teacher."""
        super().init_weights()
        check_teacher(self._teacher.get(), self, self._teacher.path)
        parameters = sum(p.numel() for p in self._teacher.get().model.parameters())
        text = f'taught by {self._teacher.path}, {parameters / 1e6:.2f} M parameters'
        print_log(text, logger='current')

    @property
    def teacher_classes(self) -> tuple[str, ...]:
        """Names of the teacher's classes, empty where its checkpoint does not say."""
        return self._teacher.get().names

    def loss(self, inputs: Tensor, data_samples: list[DataSample]) -> dict[str, Tensor]:
        """Compute the losses of a batch.

        Args:
            inputs: Images, (B, C, H, W).
            data_samples: Their labels, or scores of mixed ones.

        Returns:
            ``loss_cls`` and ``loss_distill``, weighted: their sum is to be minimised.
        """
        feats = self.extract_feat(inputs)
        scores = self.head(feats)
        answers = self._teacher.scores(inputs)
        losses = self.head._get_loss(scores, data_samples)
        own = (1 - self.distill_weight) * losses.pop('loss')
        distill = self.distill_weight * soft_loss(scores, answers, self.temperature)
        return {'loss_cls': own, 'loss_distill': distill, **losses}


def soft_loss(scores: Tensor, answers: Tensor, temperature: float) -> Tensor:
    """Compute T² · KL(teacher ‖ student) of softened probabilities, in float32.

    T² keeps the gradient as large at any temperature.

    Args:
        scores: Logits of the student, (B, classes).
        answers: Logits of the teacher, (B, classes).
        temperature: T.

    Returns:
        The mean over the batch.
    """
    divergence = functional.kl_div(
        functional.log_softmax(scores.float() / temperature, dim=1),
        functional.log_softmax(answers.float() / temperature, dim=1),
        reduction='batchmean',
        log_target=True,
    )
    return temperature**2 * divergence


class _Aside:
    """Hold a teacher where the module that uses it does not count it as its own.

    Copies of that module, such as its average, share the teacher.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._teacher: Network | None = None

    def __deepcopy__(self, memo: dict) -> '_Aside':
        return self

    def get(self) -> Network:
        """Open the teacher, once."""
        if self._teacher is None:
            # Building it must not move the random stream that the run goes on with.
            with torch.random.fork_rng(devices=[]):
                self._teacher = open_teacher(self.path)
        return self._teacher

    def scores(self, inputs: Tensor) -> Tensor:
        """Return the logits of the teacher, on the device of the images."""
        net = self.get().model.to(inputs.device)
        with torch.no_grad():
            return net(inputs, mode='tensor')
