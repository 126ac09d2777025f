"""POA: one pre-training session for models of all sizes (paper Sec. 3)."""

import copy
from collections.abc import Sequence
from typing import Any

import torch
from mmengine import dist
from mmpretrain.models.selfsup import BaseSelfSupervisor
from torch import Tensor, nn

from poa_mm.elastic import Subnet, SubnetSampler, set_alpha_scaling
from poa_mm.models.backbones import ElasticBackbone
from poa_mm.models.backbones.supernet_layers import image_channels
from poa_mm.models.heads import MultiProjectionHead
from poa_mm.models.losses import (
    NUM_GLOBAL,
    Centering,
    SinkhornKnopp,
    TeacherHead,
    Terms,
    backward_now,
    check_koleo_batch,
    elastic_part,
    elastic_terms,
    intact_part,
    intact_terms,
    koleo_of_global_views,
)
from poa_mm.models.selfsup.block_masks import BlockMasks
from poa_mm.models.selfsup.branches import (
    Branch,
    Features,
    Masking,
    Watch,
    branch_features,
    masked_patches,
    nothing_masked,
    teacher_heads,
)
from poa_mm.models.selfsup.settings import build_backbone, check_crops, check_settings
from poa_mm.registry import MODELS

NUM_STUDENTS = 2  # KoLeo is the mean over both


@MODELS.register_module()
class POA(BaseSelfSupervisor):
    """Teacher, intact student and elastic student (Sec. 3.2); the defaults are those of App. C.6.

    The intact student is the whole supernet. The elastic student is one of its sub-networks, a new
    one in every step. Both learn from the teacher across views, and the elastic student learns from
    the intact one on the same view. The teacher is the moving average of the student:
    :class:`~poa_mm.engine.POAHook` updates it after each optimiser step.

    Args:
        backbone: Config of an elastic backbone. Its ``alpha_scaling`` holds for the heads, too.
        head: Config of the projection heads; ``in_features`` defaults to the backbone's width.
        intact_weight: λ of Eq. 10.
        student_temp: τ_s.
        koleo_weight: Weight of KoLeo (Eq. 13); 0 switches it off.
        ibot_weight: Weight of masked patch prediction (App. C.3); 0 switches it off.
        mask_ratio: Range of the share of a view's patches that is masked.
        mask_prob: Share of the global views that are masked.
        centering: How the teacher's targets are kept from collapsing: ``'sinkhorn_knopp'`` (Eq. 5)
            or ``'centering'``, DINO's running mean.
        elastic_student: ``False`` trains the intact student alone, which is DINOv2's method with
            several heads: the baseline of the paper.
        elastic_from_teacher: Train the elastic student on the teacher (L_ES1 of Table 3).
        elastic_from_intact: Train the elastic student on the intact one (L_ES2 of Table 3).
        sampler: Arguments of :class:`~poa_mm.elastic.SubnetSampler` other than the space. Its
            ``seed`` also seeds the masks.
        log_heads: Log the terms of each head, besides their means.
        compile_blocks: Arguments of ``torch.compile`` for each block of the backbones, such as
            ``dict(dynamic=True)``; ``None`` does not compile.
        data_preprocessor: See ``BaseSelfSupervisor``.
        init_cfg: See ``BaseSelfSupervisor``.

    Attributes:
        step: Number of the training step, which determines the sub-network and the masks. Each
            call of :meth:`loss` adds one; the hook sets it to the runner's iteration, so that a
            resumed run draws what an uninterrupted one would have drawn.
        teacher_temp: τ_t, scheduled by the hook.
        ibot_active: Whether patches are masked at this step, scheduled by the hook.
        own_terms: This rank's own terms of its last batch, before the mean over ranks.
        watch: Is shown what the teacher computes for each batch; see
            :func:`~poa_mm.models.selfsup.branches.teacher_heads`.

    Raises:
        ValueError: λ outside 0…1, a temperature that is not positive, a negative weight, an
            unknown centering, no elastic term at all, or a backbone without a class token, or
            without a mask token for masked patches.
        TypeError: The backbone is not elastic.
    """

    backbone: ElasticBackbone
    head: MultiProjectionHead
    sampler: SubnetSampler | None
    centering: SinkhornKnopp | Centering
    own_terms: Terms

    def __init__(
        self,
        backbone: dict,
        head: dict,
        intact_weight: float = 0.8,
        student_temp: float = 0.1,
        koleo_weight: float = 0.1,
        ibot_weight: float = 1.0,
        mask_ratio: tuple[float, float] = (0.1, 0.5),
        mask_prob: float = 0.5,
        centering: str = 'sinkhorn_knopp',
        elastic_student: bool = True,
        elastic_from_teacher: bool = True,
        elastic_from_intact: bool = True,
        sampler: dict | None = None,
        log_heads: bool = False,
        compile_blocks: dict | None = None,
        data_preprocessor: dict | nn.Module | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        check_settings(intact_weight, student_temp, koleo_weight, ibot_weight, centering)
        if elastic_student and not (elastic_from_teacher or elastic_from_intact):
            raise ValueError(
                'the elastic student learns from nothing; set elastic_from_teacher or '
                'elastic_from_intact, or elastic_student=False'
            )
        built = build_backbone(backbone, ibot_weight)
        super().__init__(
            backbone=built,
            head={'in_features': built.feature_width, **head},
            data_preprocessor=data_preprocessor,
            init_cfg=init_cfg,
        )
        set_alpha_scaling(self.head, self.backbone.alpha_scaling)
        self.intact_weight = intact_weight
        self.student_temp = student_temp
        self.koleo_weight = koleo_weight
        self.ibot_weight = ibot_weight
        self.elastic_from_teacher = elastic_from_teacher
        self.elastic_from_intact = elastic_from_intact
        self.log_heads = log_heads
        sampler = sampler or {}
        self.sampler = SubnetSampler(self.backbone.space, **sampler) if elastic_student else None
        self.block_masks = BlockMasks(mask_ratio, mask_prob, sampler.get('seed', 0))
        self.centering = (
            SinkhornKnopp()
            if centering == 'sinkhorn_knopp'
            else Centering(('class', 'patch'), self.head.num_prototypes)
        )
        self.step = 0
        self.teacher_temp = 0.07
        self.ibot_active = True
        self.own_terms = {}
        self.watch: Watch | None = None
        self.teacher = Branch(copy.deepcopy(self.backbone), copy.deepcopy(self.head))
        self.teacher.requires_grad_(False)
        if compile_blocks is not None:
            for block in (*self.backbone.blocks, *self.teacher.backbone.blocks):
                block.compile(**compile_blocks)
        self.train()

    def train(self, mode: bool = True) -> 'POA':
        """Set the students' mode; the teacher always stays in evaluation mode."""
        super().train(mode)
        self.teacher.eval()
        return self

    def init_weights(self) -> None:
        """Initialise the student and start the teacher as its copy."""
        super().init_weights()
        self.update_teacher(momentum=0.0)

    @torch.no_grad()
    def update_teacher(self, momentum: float) -> None:
        """Move the teacher after an optimiser step: ``m · teacher + (1 − m) · student``.

        Before it, the running means of ``centering`` move by all batches since the last step, of
        which there are several under gradient accumulation.
        """
        self.centering.step(self.teacher.head.prototypes())
        student = [*self.backbone.parameters(), *self.head.parameters()]
        torch._foreach_lerp_(list(self.teacher.parameters()), student, 1 - momentum)

    def skip_update(self) -> None:
        """Forget the batches of a step that the optimiser has skipped."""
        self.centering.discard()

    def loss(self, inputs: Sequence[Tensor], data_samples: Any = None) -> Terms:
        """Compute the losses of one training step, for mmengine.

        Args:
            inputs: The views of a batch: two global ones, then the local ones, (B, C, h, w) each.
            data_samples: Not used.

        Returns:
            ``loss``, the total that is trained on, and its terms for the log, each as the mean
            over the heads, and per head if ``log_heads`` is set.

        Raises:
            ValueError: Fewer views than two global ones and a local one.
        """
        if not isinstance(inputs, list | tuple) or len(inputs) <= NUM_GLOBAL:
            got = f'{len(inputs)} views' if isinstance(inputs, list | tuple) else type(inputs)
            raise ValueError(
                f'POA needs a list of {NUM_GLOBAL} global views and at least one local view, '
                f'got {got}'
            )
        global_crops = torch.cat(inputs[:NUM_GLOBAL])
        masks = None
        if self.ibot_weight and self.ibot_active:
            grid = self.backbone.mask_grid(*global_crops.shape[-2:])
            masks = self.block_masks(len(global_crops), grid, self.step, dist.get_rank())
        terms = self.losses(
            global_crops,
            torch.cat(inputs[NUM_GLOBAL:]),
            masks=masks,
            teacher_temp=self.teacher_temp,
        )
        self.step += 1
        total = terms.pop('total')
        return {'loss': total, **self._logged(terms)}

    def parse_losses(self, losses: Terms) -> tuple[Tensor, Terms]:
        """Return the loss to train on, and what to log: means over all ranks, in one exchange."""
        loss, logged = super().parse_losses(losses)
        self.own_terms = {name: value.detach() for name, value in logged.items()}
        values = torch.stack([value.detach().to(loss.dtype) for value in logged.values()])
        dist.all_reduce(values, 'mean')
        return loss, dict(zip(logged, values.unbind(), strict=True))

    def losses(
        self,
        global_crops: Tensor,
        local_crops: Tensor,
        masks: Tensor | None = None,
        subnet: Subnet | str | None = None,
        teacher_temp: float = 0.07,
    ) -> Terms:
        """Compute every term of the loss for given crops.

        Args:
            global_crops: (2B, C, G, G), view 1 of all images, then view 2.
            local_crops: (V·B, C, L, L), view-major.
            masks: Patches of the global views that are hidden from the students and that they
                predict, (2B, N) bool; ``None`` for none. Masks on the CPU need no wait for the GPU.
            subnet: The elastic student; ``None`` draws that of the current step.
            teacher_temp: τ_t.

        Returns:
            Unweighted terms, without gradient, and the differentiable scalar ``total`` (Eq. 10,
            iBOT and KoLeo), which may be back-propagated once. Of each head, (H,):

            - ``intact_global``, ``intact_local``: teacher to intact student (Eq. 6, 8)
            - ``elastic_global``, ``elastic_local``: teacher to elastic student (ES1 of Eq. 7, 9)
            - ``same_view_global``, ``same_view_local``: intact to elastic (ES2 of Eq. 7, 9)
            - ``intact_patch``, ``elastic_patch``: masked patches, if masks are given

            Scalars, unless ``koleo_weight`` is 0: ``intact_koleo``, ``elastic_koleo``, each the
            sum of Eq. 13 over the two global views.

        Raises:
            ValueError: Unknown sub-network, crops that do not belong together or have other
                channels, masks of another shape, or KoLeo with fewer than two images.
        """
        check_crops(global_crops, local_crops, image_channels(self.backbone))
        if self.koleo_weight:
            check_koleo_batch(len(global_crops) // NUM_GLOBAL)
        if self.sampler is not None:
            drawn = self.sampler(self.step, dist.get_rank()) if subnet is None else subnet
            subnet = self.backbone.space.resolve(drawn)
        if masks is None:
            masking = nothing_masked(self.backbone, global_crops)
        else:
            masking = masked_patches(masks, global_crops.device)
        teacher = teacher_heads(
            self.teacher, global_crops, masking, self.centering, teacher_temp, self.watch
        )
        intact = branch_features(self, global_crops, local_crops, None, masking)
        terms = self._intact_terms(teacher, intact, masking)
        if self.sampler is None:
            return _result(terms, intact_part(terms, 1.0, self.ibot_weight, self.koleo_weight))
        weights = (self.intact_weight, self.ibot_weight, self.koleo_weight / NUM_STUDENTS)
        # The elastic student does not need the intact one's graph. Without it, the step needs
        # memory for one student at a time.
        trained = [parameter for parameter in self.parameters() if parameter.requires_grad]
        loss = backward_now(intact_part(terms, *weights), trained)
        intact = intact.detached()
        elastic = branch_features(self, global_crops, local_crops, subnet, masking)
        terms |= self._elastic_terms(teacher, elastic, intact, masking)
        sources = (self.elastic_from_teacher, self.elastic_from_intact)
        return _result(terms, loss + elastic_part(terms, *weights, *sources))

    def _intact_terms(
        self, teacher: list[TeacherHead], features: Features, masking: Masking
    ) -> Terms:
        heads = features.student_heads(self.head.prototypes(), self.student_temp)
        terms = intact_terms(teacher, heads, masking.divisors)
        if self.koleo_weight:
            terms['intact_koleo'] = koleo_of_global_views(features.global_tokens)
        return terms

    def _elastic_terms(
        self, teacher: list[TeacherHead], features: Features, intact: Features, masking: Masking
    ) -> Terms:
        prototypes = self.head.prototypes()
        heads, intact_heads = (
            student.student_heads(prototypes, self.student_temp) for student in (features, intact)
        )
        terms = elastic_terms(teacher, heads, intact_heads, masking.divisors)
        if self.koleo_weight:
            terms['elastic_koleo'] = koleo_of_global_views(features.global_tokens)
        return terms

    def _logged(self, terms: Terms) -> Terms:
        """Average the terms over the heads, and list those of each head on request."""
        logged = {name: term.mean() for name, term in terms.items()}
        if self.log_heads:
            for name, term in terms.items():
                if term.ndim:
                    logged.update({f'{name}_head{h}': value for h, value in enumerate(term)})
        return logged


def _result(terms: Terms, total: Tensor) -> Terms:
    """Detach the terms, and add the total, which alone is differentiated."""
    return {**{name: term.detach() for name, term in terms.items()}, 'total': total}
