"""What to change when a teacher has collapsed."""

from poa_mm.models.losses import SinkhornKnopp
from poa_mm.models.selfsup import SelfDistillation

__all__ = ['advice']

USUAL_KOLEO = 0.1
SLOWER = (
    'a lower learning rate (optim_wrapper.optimizer.lr) or a longer warm-up (param_scheduler), and '
    'freeze_last_layer_epochs=1 of POAHook'
)


def advice(kind: str, model: SelfDistillation) -> str:
    """Say which settings to change, and what they are now.

    Args:
        kind: Of :func:`~poa_mm.evaluation.label_free.collapse.collapse_signs`.
        model: Model that is trained.
    """
    balanced = isinstance(model.centering, SinkhornKnopp)
    temperature = f'teacher_temp of POAHook, now {model.teacher_temp:g}'
    steps = []
    if kind == 'uniform':
        steps.append(
            f"lower the {temperature} (0.04 to 0.07 are usual, and less than the students' "
            f'{model.student_temp:g})'
        )
    if kind == 'few prototypes':
        if not balanced:
            steps.append("model.centering='sinkhorn_knopp', which uses all prototypes alike")
        steps.append(f'raise the {temperature}')
    if kind == 'alike' and model.koleo_weight < USUAL_KOLEO:
        steps.append(
            f'model.koleo_weight={USUAL_KOLEO}, now {model.koleo_weight:g}, spreads the images'
        )
    steps.append(SLOWER)
    if kind != 'few prototypes':
        steps.append('look at the images: crops that are blank or all the same teach nothing')
    return f'Try, from an earlier checkpoint: {"; ".join(steps)}.'
