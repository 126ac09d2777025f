"""SEED: self-supervised distillation from a frozen, larger network (Fang et al., ICLR 2021)."""

from collections.abc import Sequence
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from poa_mm.models.backbones import ElasticBackbone
from poa_mm.models.backbones.supernet_layers import image_channels
from poa_mm.models.losses import NUM_GLOBAL, Terms
from poa_mm.models.losses.similarity import similarity_distillation
from poa_mm.models.selfsup.feature_queue import FeatureQueue
from poa_mm.models.selfsup.pretraining import Pretraining
from poa_mm.models.selfsup.settings import build_backbone
from poa_mm.registry import MODELS, build_model


class Teacher(Protocol):
    """A frozen network, which is no module: checkpoints and optimisers do not see its weights."""

    width: int
    channels: int

    def __call__(self, images: Tensor, mean: Tensor | None, std: Tensor | None) -> Tensor:
        """Compute features (n, D) of images that were normalised by a mean and a deviation."""


@MODELS.register_module()
class SEED(Pretraining):
    """A student that learns from a frozen teacher how similar an image is to many others.

    Teacher and student see the same view, as in SEED: here each of the two global views of the
    multi-crop, with the loss as their mean. Further views are not used, so ``num_local=0`` of
    MultiCrop saves making them. Each view is compared with a queue of the teacher's features and
    with the teacher's feature of that very view
    (:func:`~poa_mm.models.losses.similarity.similarity_distillation`); then the teacher's features
    of both views of all ranks enter the queue. There is no moving average: downstream uses the
    student itself.

    The student's features go through two linear layers with a ReLU between them, to the dimension
    of the teacher. The teacher's are those of its backbone: SEED's own ones have a head as well,
    which neither DINOv2's models of timm nor extracted backbones have kept.

    Args:
        backbone: Config of an elastic backbone with one width and one depth.
        teacher: Config of the teacher, such as ``dict(type='FrozenTeacher', checkpoint=...)``; see
            :class:`~poa_mm.evaluation.networks.frozen_teacher.FrozenTeacher`.
        queue_size: Number of features in the queue.
        student_temp: τ of the student's similarities.
        teacher_temp: τ of the teacher's similarities.
        data_preprocessor: See ``BaseSelfSupervisor``. Its normalisation is undone for the teacher.
        init_cfg: See ``BaseSelfSupervisor``.

    Raises:
        ValueError: A backbone with several sub-networks, another number of channels than the
            teacher's, a temperature that is not positive, an empty queue, or no such teacher.
        TypeError: The backbone is not elastic.
        FileNotFoundError: There is no file of the teacher.
    """

    def __init__(
        self,
        backbone: dict,
        teacher: dict,
        queue_size: int = 65536,
        student_temp: float = 0.2,
        teacher_temp: float = 0.01,
        data_preprocessor: dict | nn.Module | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        for name, value in (('student_temp', student_temp), ('teacher_temp', teacher_temp)):
            if not value > 0:
                raise ValueError(f'{name} must be positive, got {value}')
        built = _build_student(backbone)
        super().__init__(backbone=built, data_preprocessor=data_preprocessor, init_cfg=init_cfg)
        self.student_temp = student_temp
        self.teacher_temp = teacher_temp
        self.teacher: Teacher = build_model(teacher)  # type: ignore[assignment] # it is no module
        if self.teacher.channels != image_channels(built):
            raise ValueError(
                f'the teacher takes images of {self.teacher.channels} channels, the student of '
                f'{image_channels(built)}'
            )
        width = built.feature_width
        self.head = nn.Sequential(
            nn.Linear(width, width), nn.ReLU(inplace=True), nn.Linear(width, self.teacher.width)
        )
        self.queue = FeatureQueue(queue_size, self.teacher.width)
        self.own_terms = {}

    @property
    def result(self) -> ElasticBackbone:
        """The student."""
        return self.backbone

    def loss(self, inputs: Sequence[Tensor], data_samples: Any = None) -> Terms:
        """Compute the loss of one training step, for mmengine.

        Args:
            inputs: The views of a batch, two global ones first, (B, C, h, w) each.
            data_samples: Not used.

        Returns:
            ``loss``, and ``similarity``: the mean cosine between the two features of a view.

        Raises:
            ValueError: Fewer than two views.
        """
        if not isinstance(inputs, list | tuple) or len(inputs) < NUM_GLOBAL:
            got = f'{len(inputs)} views' if isinstance(inputs, list | tuple) else type(inputs)
            raise ValueError(f'SEED needs a list of at least {NUM_GLOBAL} views, got {got}')
        images = torch.cat(inputs[:NUM_GLOBAL])
        theirs = F.normalize(self._taught(images), dim=-1)
        ours = self.head(self.backbone.tokens(images)[0])
        # The queue changes before the gradient is computed, which needs it as it was.
        loss = similarity_distillation(
            ours, theirs, self.queue.features.clone(), self.student_temp, self.teacher_temp
        )
        self.queue.push(theirs.unflatten(0, (NUM_GLOBAL, -1)))
        similarity = F.cosine_similarity(ours.detach().to(theirs.dtype), theirs).mean()
        return {'loss': loss, 'similarity': similarity}

    @torch.no_grad()
    def _taught(self, images: Tensor) -> Tensor:
        """Return the teacher's features, at least in float32."""
        statistics = (getattr(self.data_preprocessor, name, None) for name in ('mean', 'std'))
        features = self.teacher(images, *statistics)
        return features.to(torch.promote_types(features.dtype, torch.float32))


def _build_student(cfg: dict) -> ElasticBackbone:
    """Build an elastic backbone of one size, without a mask token: no patches are masked."""
    backbone = build_backbone({'with_mask_token': False, **cfg}, ibot_weight=0)
    space = backbone.space
    if len(space) > 1:
        raise ValueError(
            'SEED trains one network: give its backbone one width and one depth, got widths='
            f'{list(space.widths)} and depths={list(space.depths)}'
        )
    return backbone
