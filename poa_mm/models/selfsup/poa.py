"""POA: one pre-training session for models of all sizes (paper Sec. 3)."""

import copy
from typing import Any

import torch
from mmengine import dist
from mmpretrain.models.selfsup import BaseSelfSupervisor
from torch import Tensor, nn

from poa_mm.elastic import Subnet, SubnetSampler
from poa_mm.models.losses import NUM_GLOBAL, distillation_losses, overall_loss, sinkhorn_knopp
from poa_mm.registry import ELASTIC_BACKBONES, MODELS


class Branch(nn.Module):
    """A backbone and its heads.

    Args:
        backbone: Elastic backbone.
        head: Projection heads.
    """

    def __init__(self, backbone: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head


def class_logits(branch: Any, crops: Tensor, subnet: Subnet | str | None = None) -> list[Tensor]:
    """Logits (N, K_h) of each head for the class tokens of crops (N, 3, h, w).

    Args:
        branch: Anything with an elastic ``backbone`` and a ``head``.
        crops: Crops of one size.
        subnet: The sub-network that sees them; ``None`` is the intact one.
    """
    class_tokens, _ = branch.backbone.tokens(crops, subnet)
    return branch.head(class_tokens)


@MODELS.register_module()
class POA(BaseSelfSupervisor):
    """Teacher, intact student and elastic student (Sec. 3.2).

    The intact student is the whole supernet, the elastic student one of its sub-networks, another
    one at every step. Both learn from the teacher across views, and the elastic student learns from
    the intact one on the same view. The teacher is the moving average of the student:
    :class:`~poa_mm.engine.POAHook` updates it after each optimiser step.

    Args:
        backbone: Config of an elastic backbone.
        head: Config of the projection heads; ``in_features`` defaults to the backbone's width.
        intact_weight: λ of Eq. 10.
        student_temp: τ_s.
        sampler: Arguments of :class:`~poa_mm.elastic.SubnetSampler` other than the space.
        data_preprocessor: See ``BaseSelfSupervisor``.
        init_cfg: See ``BaseSelfSupervisor``.

    Attributes:
        step: Number of the training step, which decides the sub-network. Counts up with each call
            of :meth:`loss`; the hook sets it to the runner's iteration, so that a resumed run draws
            what an uninterrupted one would have drawn.
        teacher_temp: τ_t, scheduled by the hook.

    Raises:
        ValueError: λ outside 0…1, or a temperature that is not positive.
        TypeError: The backbone is not elastic.
    """

    def __init__(
        self,
        backbone: dict,
        head: dict,
        intact_weight: float = 0.8,
        student_temp: float = 0.1,
        sampler: dict | None = None,
        data_preprocessor: dict | nn.Module | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        if not 0 <= intact_weight <= 1:
            raise ValueError(f'intact_weight must be within 0…1, got {intact_weight}')
        if student_temp <= 0:
            raise ValueError(f'student_temp must be positive, got {student_temp}')
        built = MODELS.build(backbone)
        if not hasattr(built, 'space'):
            raise TypeError(
                f'POA needs an elastic backbone ({", ".join(ELASTIC_BACKBONES.module_dict)}), '
                f'got {type(built).__name__}'
            )
        super().__init__(
            backbone=built,
            head={'in_features': built.space.intact.width, **head},
            data_preprocessor=data_preprocessor,
            init_cfg=init_cfg,
        )
        self.intact_weight = intact_weight
        self.student_temp = student_temp
        self.sampler = SubnetSampler(self.backbone.space, **(sampler or {}))
        self.step = 0
        self.teacher_temp = 0.07
        self.teacher = Branch(copy.deepcopy(self.backbone), copy.deepcopy(self.head))
        self.teacher.requires_grad_(False)
        self.train()

    def train(self, mode: bool = True) -> 'POA':
        """Switch the students; the teacher always stays in evaluation mode."""
        super().train(mode)
        self.teacher.eval()
        return self

    def init_weights(self) -> None:
        """Initialise the student and start the teacher as its copy."""
        super().init_weights()
        self.update_teacher(momentum=0.0)

    @torch.no_grad()
    def update_teacher(self, momentum: float) -> None:
        """Move the teacher towards the student: ``m · teacher + (1 − m) · student``."""
        student = [*self.backbone.parameters(), *self.head.parameters()]
        torch._foreach_lerp_(list(self.teacher.parameters()), student, 1 - momentum)

    def loss(self, inputs: list[Tensor], data_samples: Any = None) -> dict[str, Tensor]:
        """Losses of one training step, for mmengine.

        Args:
            inputs: The views of a batch: two global ones, then the local ones, (B, 3, h, w) each.
            data_samples: Not used.

        Returns:
            ``loss``, the total that is trained on, and the terms of Eq. 6 to 9 for the log, each
            as the mean over the heads.

        Raises:
            ValueError: Fewer views than two global ones and a local one.
        """
        if not isinstance(inputs, list | tuple) or len(inputs) <= NUM_GLOBAL:
            got = f'{len(inputs)} views' if isinstance(inputs, list | tuple) else type(inputs)
            raise ValueError(
                f'POA needs a list of {NUM_GLOBAL} global views and at least one local view, '
                f'got {got}'
            )
        terms = self.losses(
            torch.cat(inputs[:NUM_GLOBAL]),
            torch.cat(inputs[NUM_GLOBAL:]),
            subnet=self.sampler(self.step, dist.get_rank()),
            teacher_temp=self.teacher_temp,
        )
        self.step += 1
        total = terms.pop('total')
        return {'loss': total, **{name: term.detach().mean() for name, term in terms.items()}}

    def losses(
        self,
        global_crops: Tensor,
        local_crops: Tensor,
        subnet: Subnet | str | None = None,
        teacher_temp: float = 0.07,
    ) -> dict[str, Tensor]:
        """Every term of the loss for given crops.

        Args:
            global_crops: (2B, 3, G, G), view 1 of all images, then view 2.
            local_crops: (V·B, 3, L, L), view-major.
            subnet: The elastic student; ``None`` draws the one of the current step.
            teacher_temp: τ_t.

        Returns:
            Terms of each head, (H,), before λ, and the differentiable scalar ``total`` (Eq. 10):

            - ``intact_global``, ``intact_local``: teacher to intact student (Eq. 6, 8)
            - ``elastic_global``, ``elastic_local``: teacher to elastic student (ES1 of Eq. 7, 9)
            - ``same_view_global``, ``same_view_local``: intact to elastic (ES2 of Eq. 7, 9)

        Raises:
            ValueError: Unknown sub-network, or numbers of crops that do not belong together.
        """
        batch, odd = divmod(len(global_crops), NUM_GLOBAL)
        if odd or not batch or not len(local_crops) or len(local_crops) % batch:
            raise ValueError(
                f'{len(global_crops)} global and {len(local_crops)} local crops are not '
                f'{NUM_GLOBAL} and V views of one batch'
            )
        if subnet is None:
            subnet = self.sampler(self.step, dist.get_rank())
        with torch.no_grad():
            targets = sinkhorn_knopp(class_logits(self.teacher, global_crops), teacher_temp)
        views = (global_crops, local_crops)
        intact = [class_logits(self, crops) for crops in views]
        elastic = [class_logits(self, crops, subnet) for crops in views]
        per_head = [
            distillation_losses(target, intact_logits, elastic_logits, self.student_temp)
            for target, intact_logits, elastic_logits in zip(
                targets, zip(*intact, strict=True), zip(*elastic, strict=True), strict=True
            )
        ]
        terms = {name: torch.stack([head[name] for head in per_head]) for name in per_head[0]}
        terms['total'] = overall_loss(terms, self.intact_weight).mean()
        return terms
