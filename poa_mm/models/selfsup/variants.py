"""The alternatives to POA that the paper compares it with (Sec. 4.4, Table 5; App. D.9)."""

from typing import Any, ClassVar

from torch import Tensor

from poa_mm.elastic import Subnet, SubnetSampler
from poa_mm.models.losses import TeacherHead, Terms, cross_view_sum, reach_all, student_part
from poa_mm.models.selfsup.branches import Batch, Features, teacher_heads
from poa_mm.models.selfsup.poa import POA
from poa_mm.models.selfsup.self_distillation import SelfDistillation
from poa_mm.registry import MODELS

PEER = 'elastic_'  # before the kinds of tokens of V3's elastic teacher


@MODELS.register_module()
class POAV2(SelfDistillation):
    """POA without the intact student: the intact teacher is the average of elastic students alone.

    Of Eq. 10 what remains is the elastic student's cross-view part, at full weight, and its iBOT
    and KoLeo: there is no λ and nothing to learn on the same view. The paper does not say whether
    the intact network is among the students. Here it is, with its weight of Eq. 14, since no branch
    of its own trains it: ``sampler=dict(with_intact=False)`` leaves it out as POA does.

    A step trains the parameters of one sub-network on each rank; all others get a gradient of zero.

    The terms that :meth:`losses` returns are ``elastic_global``, ``elastic_local``,
    ``elastic_patch`` and ``elastic_koleo``, as POA's.

    Args:
        backbone: Config of an elastic backbone.
        head: Config of the projection heads; ``in_features`` defaults to the backbone's width.
        sampler: Arguments of :class:`~poa_mm.elastic.SubnetSampler` other than the space. Its
            ``seed`` also seeds the masks, unless ``mask_seed`` is given.
        **settings: The other arguments of :class:`SelfDistillation`.

    Raises:
        TypeError: A setting of POA that has no meaning here, such as ``intact_weight``.
        ValueError: As :class:`SelfDistillation`.
    """

    sampler: SubnetSampler

    def __init__(
        self, backbone: dict, head: dict, sampler: dict | None = None, **settings: Any
    ) -> None:
        sampler = {'with_intact': True, **(sampler or {})}
        super().__init__(backbone, head, **{'mask_seed': sampler.get('seed', 0), **settings})
        self.sampler = SubnetSampler(self.backbone.space, **sampler)

    def run_branches(self, batch: Batch) -> tuple[Terms, Tensor]:
        """Run the teacher and the elastic student."""
        teacher = self.teach(batch, self.taught_by(batch.subnet))
        student = self.study(batch, batch.subnet)
        terms = self.cross_view('elastic', teacher, student, batch)
        terms |= self.koleo('elastic', student)
        loss = student_part('elastic', terms, 1.0, self.ibot_weight, self.koleo_weight)
        return terms, reach_all(loss, self.trained_parameters())

    def taught_by(self, student: Subnet | None) -> Subnet | None:
        """Return the teacher's sub-network for that of the student: the intact one."""
        return None


@MODELS.register_module()
class POAV1(POAV2):
    """POA without the intact student, whose teacher runs as the same sub-network as the student.

    It is :class:`POAV2` but for the teacher. Ranks that train different sub-networks still share
    one Sinkhorn-Knopp, whose targets use all prototypes alike over the global batch.
    """

    def taught_by(self, student: Subnet | None) -> Subnet | None:
        """Return the teacher's sub-network for that of the student: the same."""
        return student


@MODELS.register_module()
class POAV3(POA):
    """POA with a second, elastic teacher: the elastic student learns across views from both.

    The elastic teacher is the moving average, run as the elastic student's sub-network, with
    targets that are centred apart from the intact teacher's. What the student learns from it,
    class tokens of global and local views and masked patches, is L_ES1 with another teacher. The
    paper does not say how the term is weighed, so it joins the sum of the elastic student in
    Eq. 10 like the others: (1 − λ)(L_ES1 + L_ES2 + this).

    The terms that :meth:`losses` returns are those of POA, and ``elastic_teacher_global``,
    ``elastic_teacher_local`` and, if masks are given, ``elastic_teacher_patch``.

    Args:
        *args: Those of :class:`POA`, as are ``kwargs``.

    Raises:
        ValueError: ``elastic_student=False``, or as :class:`POA`.
        TypeError: As :class:`POA`.
    """

    kinds: ClassVar[tuple[str, ...]] = (*POA.kinds, *(f'{PEER}{kind}' for kind in POA.kinds))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.sampler is None:
            raise ValueError(
                f'{type(self).__name__} adds a teacher of the elastic student, so '
                'elastic_student=False has no meaning; train POA with it'
            )

    def elastic_terms(
        self, batch: Batch, teacher: list[TeacherHead], elastic: Features, intact: Features
    ) -> Terms:
        """Compute what the elastic student learns, from its own teacher too."""
        terms = super().elastic_terms(batch, teacher, elastic, intact)
        peer = teacher_heads(self.teacher, batch, self.centering, subnet=batch.subnet, prefix=PEER)
        return terms | self.cross_view('elastic_teacher', peer, elastic, batch)

    def elastic_loss(self, terms: Terms) -> Tensor:
        """Weigh the elastic student's part of the loss."""
        further = cross_view_sum('elastic_teacher', terms, self.ibot_weight).mean()
        return super().elastic_loss(terms) + (1 - self.intact_weight) * further
