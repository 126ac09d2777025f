"""What POA and its variants share: students, their moving average as the teacher, multi-crops."""

import copy
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from mmengine import dist
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
    check_koleo_batch,
    cross_view_terms,
    koleo_of_global_views,
)
from poa_mm.models.selfsup.block_masks import BlockMasks
from poa_mm.models.selfsup.branches import (
    Batch,
    Branch,
    Features,
    Watch,
    branch_features,
    masked_patches,
    nothing_masked,
    teacher_heads,
)
from poa_mm.models.selfsup.pretraining import Pretraining
from poa_mm.models.selfsup.settings import build_backbone, check_crops, check_settings


class SelfDistillation(Pretraining):
    """Students that learn from their own moving average, the teacher, on crops of an image.

    An algorithm says in :meth:`run_branches` which branches there are and what each of them learns
    from; it sets ``sampler`` if a sub-network trains. :class:`~poa_mm.engine.POAHook` updates the
    teacher after each optimiser step.

    Args:
        backbone: Config of an elastic backbone. Its ``alpha_scaling`` holds for the heads, too.
        head: Config of the projection heads; ``in_features`` defaults to the backbone's width.
        student_temp: τ_s.
        koleo_weight: Weight of KoLeo (Eq. 13); 0 switches it off.
        ibot_weight: Weight of masked patch prediction (App. C.3); 0 switches it off.
        mask_ratio: Range of the share of a view's patches that is masked.
        mask_prob: Share of the global views that are masked.
        mask_seed: Seed of the masks.
        centering: How the teacher's targets are kept from collapsing: ``'sinkhorn_knopp'`` (Eq. 5)
            or ``'centering'``, DINO's running mean.
        log_heads: Log the terms of each head, besides their means.
        compile_blocks: Arguments of ``torch.compile`` for each block of the backbones, such as
            ``dict(dynamic=True)``; ``None`` does not compile.
        data_preprocessor: See ``BaseSelfSupervisor``.
        init_cfg: See ``BaseSelfSupervisor``.

    Attributes:
        sampler: Draws the sub-network of each step; ``None`` if none trains.
        step: Number of the training step, which determines the sub-network and the masks. Each
            call of :meth:`loss` adds one; the hook sets it to the runner's iteration, so that a
            resumed run draws what an uninterrupted one would have drawn.
        teacher_temp: τ_t, scheduled by the hook.
        ibot_active: Whether patches are masked at this step, scheduled by the hook.
        watch: Is shown what the teacher computes for each batch; see
            :func:`~poa_mm.models.selfsup.branches.teacher_heads`.

    Raises:
        ValueError: A temperature that is not positive, a negative weight, an unknown centering, or
            a backbone without a class token, or without a mask token for masked patches.
        TypeError: The backbone is not elastic.
    """

    # Kinds of tokens that the teacher has targets for, each centred by itself.
    kinds: ClassVar[tuple[str, ...]] = ('class', 'patch')

    head: MultiProjectionHead
    sampler: SubnetSampler | None
    centering: SinkhornKnopp | Centering

    def __init__(
        self,
        backbone: dict,
        head: dict,
        student_temp: float = 0.1,
        koleo_weight: float = 0.1,
        ibot_weight: float = 1.0,
        mask_ratio: tuple[float, float] = (0.1, 0.5),
        mask_prob: float = 0.5,
        mask_seed: int = 0,
        centering: str = 'sinkhorn_knopp',
        log_heads: bool = False,
        compile_blocks: dict | None = None,
        data_preprocessor: dict | nn.Module | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        check_settings(student_temp, koleo_weight, ibot_weight, centering)
        built = build_backbone(backbone, ibot_weight)
        super().__init__(
            backbone=built,
            head={'in_features': built.feature_width, **head},
            data_preprocessor=data_preprocessor,
            init_cfg=init_cfg,
        )
        set_alpha_scaling(self.head, self.backbone.alpha_scaling)
        self.student_temp = student_temp
        self.koleo_weight = koleo_weight
        self.ibot_weight = ibot_weight
        self.log_heads = log_heads
        self.sampler = None
        self.block_masks = BlockMasks(mask_ratio, mask_prob, mask_seed)
        self.centering = (
            SinkhornKnopp()
            if centering == 'sinkhorn_knopp'
            else Centering(self.kinds, self.head.num_prototypes)
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

    @property
    def result(self) -> ElasticBackbone:
        """The teacher's backbone."""
        return self.teacher.backbone

    def train(self, mode: bool = True) -> 'SelfDistillation':
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
                f'{type(self).__name__} needs a list of {NUM_GLOBAL} global views and at least '
                f'one local view, got {got}'
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
            subnet: The sub-network that trains; ``None`` draws that of the current step.
            teacher_temp: τ_t.

        Returns:
            Unweighted terms, which the algorithm lists, without gradient, and ``total``, the
            differentiable scalar that is trained on. It may be back-propagated once.

        Raises:
            ValueError: Unknown sub-network, crops that do not belong together or have other
                channels, masks of another shape, or KoLeo with fewer than two images.
        """
        check_crops(global_crops, local_crops, image_channels(self.backbone))
        if self.koleo_weight:
            check_koleo_batch(len(global_crops) // NUM_GLOBAL)
        if masks is None:
            masking = nothing_masked(self.backbone, global_crops)
        else:
            masking = masked_patches(masks, global_crops.device)
        trained = self._resolve(subnet)
        terms, total = self.run_branches(
            Batch(global_crops, local_crops, masking, trained, teacher_temp)
        )
        return {**{name: term.detach() for name, term in terms.items()}, 'total': total}

    @abstractmethod
    def run_branches(self, batch: Batch) -> tuple[Terms, Tensor]:
        """Run all branches on a batch; return the unweighted terms, and the loss to train on."""

    def teach(self, batch: Batch, subnet: Subnet | None = None) -> list[TeacherHead]:
        """Run the teacher, the intact one by default; return its targets, shown to ``watch``."""
        return teacher_heads(self.teacher, batch, self.centering, self.watch, subnet)

    def study(self, batch: Batch, subnet: Subnet | None) -> Features:
        """Run a student, the intact one by default, on all views."""
        return branch_features(self, batch.global_crops, batch.local_crops, subnet, batch.masking)

    def cross_view(
        self, name: str, teacher: list[TeacherHead], student: Features, batch: Batch
    ) -> Terms:
        """Compute what a student learns across views from a teacher, under names of its own."""
        heads = student.student_heads(self.head.prototypes(), self.student_temp)
        return cross_view_terms(name, teacher, heads, batch.masking.divisors)

    def koleo(self, name: str, student: Features) -> Terms:
        """Compute KoLeo of a student, unless it does not count."""
        if not self.koleo_weight:
            return {}
        return {f'{name}_koleo': koleo_of_global_views(student.global_tokens)}

    def trained_parameters(self) -> list[nn.Parameter]:
        """List the parameters of the students that train."""
        return [parameter for parameter in self.parameters() if parameter.requires_grad]

    def _resolve(self, subnet: Subnet | str | None) -> Subnet | None:
        """Find the sub-network that trains, if one does."""
        if self.sampler is None:
            return None
        drawn = self.sampler(self.step, dist.get_rank()) if subnet is None else subnet
        return self.backbone.space.resolve(drawn)

    def _logged(self, terms: Terms) -> Terms:
        """Average the terms over the heads, and list those of each head on request."""
        logged = {name: term.mean() for name, term in terms.items()}
        if self.log_heads:
            for name, term in terms.items():
                if term.ndim:
                    logged.update({f'{name}_head{h}': value for h, value in enumerate(term)})
        return logged
