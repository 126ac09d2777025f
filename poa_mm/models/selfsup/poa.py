"""POA: one pre-training session for models of all sizes (paper Sec. 3)."""

from torch import Tensor, nn

from poa_mm.elastic import SubnetSampler
from poa_mm.models.losses import (
    TeacherHead,
    Terms,
    backward_now,
    elastic_part,
    elastic_terms,
    intact_part,
)
from poa_mm.models.selfsup.branches import Batch, Features
from poa_mm.models.selfsup.self_distillation import SelfDistillation
from poa_mm.registry import MODELS

NUM_STUDENTS = 2  # KoLeo is the mean over both


@MODELS.register_module()
class POA(SelfDistillation):
    """Teacher, intact student and elastic student (Sec. 3.2); the defaults are those of App. C.6.

    The intact student is the whole supernet. The elastic student is one of its sub-networks, a new
    one in every step. Both learn from the teacher across views, and the elastic student learns from
    the intact one on the same view. The teacher is the moving average of the student.

    The terms that :meth:`losses` returns. Of each head, (H,):

    - ``intact_global``, ``intact_local``: teacher to intact student (Eq. 6, 8)
    - ``elastic_global``, ``elastic_local``: teacher to elastic student (ES1 of Eq. 7, 9)
    - ``same_view_global``, ``same_view_local``: intact to elastic (ES2 of Eq. 7, 9)
    - ``intact_patch``, ``elastic_patch``: masked patches, if masks are given

    Scalars, unless ``koleo_weight`` is 0: ``intact_koleo``, ``elastic_koleo``, each the sum of
    Eq. 13 over the two global views. The total is Eq. 10, with iBOT and KoLeo.

    Args:
        backbone: Config of an elastic backbone. Its ``alpha_scaling`` holds for the heads, too.
        head: Config of the projection heads; ``in_features`` defaults to the backbone's width.
        intact_weight: λ of Eq. 10.
        student_temp: τ_s.
        koleo_weight: Weight of KoLeo (Eq. 13); 0 switches it off.
        ibot_weight: Weight of masked patch prediction (App. C.3); 0 switches it off.
        mask_ratio: Range of the share of a view's patches that is masked.
        mask_prob: Share of the global views that are masked.
        centering: ``'sinkhorn_knopp'`` (Eq. 5) or ``'centering'``, DINO's running mean.
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

    Attributes: See :class:`SelfDistillation`.

    Raises:
        ValueError: λ outside 0…1, no elastic term at all, or as :class:`SelfDistillation`.
        TypeError: The backbone is not elastic.
    """

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
        if not 0 <= intact_weight <= 1:
            raise ValueError(f'intact_weight must be within 0…1, got {intact_weight}')
        if elastic_student and not (elastic_from_teacher or elastic_from_intact):
            raise ValueError(
                'the elastic student learns from nothing; set elastic_from_teacher or '
                'elastic_from_intact, or elastic_student=False'
            )
        sampler = sampler or {}
        super().__init__(
            backbone,
            head,
            student_temp=student_temp,
            koleo_weight=koleo_weight,
            ibot_weight=ibot_weight,
            mask_ratio=mask_ratio,
            mask_prob=mask_prob,
            mask_seed=sampler.get('seed', 0),
            centering=centering,
            log_heads=log_heads,
            compile_blocks=compile_blocks,
            data_preprocessor=data_preprocessor,
            init_cfg=init_cfg,
        )
        self.intact_weight = intact_weight
        self.elastic_from_teacher = elastic_from_teacher
        self.elastic_from_intact = elastic_from_intact
        if elastic_student:
            self.sampler = SubnetSampler(self.backbone.space, **sampler)

    @property
    def weights(self) -> tuple[float, float, float]:
        """λ, and the weights of masked patches and of KoLeo, with both students."""
        return self.intact_weight, self.ibot_weight, self.koleo_weight / NUM_STUDENTS

    def run_branches(self, batch: Batch) -> tuple[Terms, Tensor]:
        """Run the teacher, the intact student and the elastic one."""
        teacher = self.teach(batch)
        intact = self.study(batch, None)
        terms = self.cross_view('intact', teacher, intact, batch) | self.koleo('intact', intact)
        if self.sampler is None:
            return terms, intact_part(terms, 1.0, self.ibot_weight, self.koleo_weight)
        # The elastic student does not need the intact one's graph. Without it, the step needs
        # memory for one student at a time.
        loss = backward_now(intact_part(terms, *self.weights), self.trained_parameters())
        intact = intact.detached()
        elastic = self.study(batch, batch.subnet)
        terms |= self.elastic_terms(batch, teacher, elastic, intact)
        return terms, loss + self.elastic_loss(terms)

    def elastic_terms(
        self, batch: Batch, teacher: list[TeacherHead], elastic: Features, intact: Features
    ) -> Terms:
        """Compute what the elastic student learns from the teacher and from the intact student."""
        prototypes = self.head.prototypes()
        heads, intact_heads = (
            student.student_heads(prototypes, self.student_temp) for student in (elastic, intact)
        )
        terms = elastic_terms(teacher, heads, intact_heads, batch.masking.divisors)
        return terms | self.koleo('elastic', elastic)

    def elastic_loss(self, terms: Terms) -> Tensor:
        """Weigh the elastic student's part of the loss."""
        sources = (self.elastic_from_teacher, self.elastic_from_intact)
        return elastic_part(terms, *self.weights, *sources)
