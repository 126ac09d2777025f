"""Logistic regression of scikit-learn: the quick alternative to heads trained by SGD."""

import warnings
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from poa_mm.errors import InputError
from poa_mm.evaluation.probe.cached import LabelledFeatures, check_features, split_of
from poa_mm.evaluation.probe.heads import Regularised, TrainedHead
from poa_mm.evaluation.probe.settings import ProbeResult, ProbeSettings
from poa_mm.evaluation.probe.sources import ProbeSources

if TYPE_CHECKING:
    from sklearn.linear_model import LogisticRegression

__all__ = ['INVERSE_STRENGTHS', 'logistic_regressions', 'probe_logistic']

INVERSE_STRENGTHS = tuple(10.0**power for power in range(-5, 4))
MAX_ITERATIONS = 1000
NEVER = -1e30  # logit of a class that has no training image


def probe_logistic(
    train: LabelledFeatures,
    test: LabelledFeatures,
    sources: ProbeSources,
    num_classes: int,
    settings: ProbeSettings,
    seed: int = 0,
    strengths: Sequence[float] = INVERSE_STRENGTHS,
) -> ProbeResult:
    """Fit logistic regressions on the features of one network, and choose one.

    Args:
        train: Of the training images, of which some are held out to choose on.
        test: Of the test images.
        sources: Where in the features which source is.
        num_classes: Number of classes.
        settings: What to choose on, and which sources to try.
        seed: Seed of the images held out.
        strengths: Values of C to try, see :class:`~poa_mm.evaluation.probe.heads.Regularised`.

    Returns:
        Accuracies of all fits.

    Raises:
        InputError: As :func:`~poa_mm.evaluation.probe.cached.probe_features`.
        ValueError: Likewise, or a value of C is not positive.
    """
    for name, split in (('training', train), ('test', test)):
        check_features(name, split, sources.width, num_classes)
    rows, choose = split_of(train, test, settings, seed)
    fit = train.rows(rows.to(train.labels.device))
    heads: list[Regularised] = []
    chosen_on: list[float] = []
    on_test: list[float] = []
    best: TrainedHead | None = None
    for source in settings.found(sources):
        part = sources.columns[source]
        fits = logistic_regressions(fit.features[:, part], fit.labels, num_classes, strengths)
        for c, weight, bias in fits:
            heads.append(Regularised(source, c))
            head = TrainedHead(heads[-1], weight, bias)
            accuracy = _accuracy(head, choose, part)
            if accuracy > max(chosen_on, default=-1):
                best = head
            chosen_on.append(accuracy)
            on_test.append(accuracy if choose is test else _accuracy(head, test, part))
    assert best is not None
    return ProbeResult(tuple(heads), tuple(chosen_on), tuple(on_test), best)


def _accuracy(head: TrainedHead, split: LabelledFeatures, columns: slice) -> float:
    """Measure the accuracy of a head in percent."""
    predicted = head.predict(split.features[:, columns].cpu())
    return 100 * (predicted == split.labels.cpu()).double().mean().item()


def logistic_regressions(
    features: Tensor,
    labels: Tensor,
    num_classes: int,
    strengths: Sequence[float] = INVERSE_STRENGTHS,
) -> Iterator[tuple[float, Tensor, Tensor]]:
    """Fit logistic regressions, from the strongest regularisation to the weakest.

    Args:
        features: (N, D).
        labels: Classes (N,).
        num_classes: Number of classes; some may have no image.
        strengths: Values of C; each fit starts from the one before.

    Yields:
        A C, and weight (classes, D) and bias (classes,) of its fit in float32.

    Raises:
        InputError: All images are of one class.
        ValueError: A value of C is not positive.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    if not strengths or not min(strengths) > 0:
        raise ValueError(f'C must be positive, got {tuple(strengths)}')
    if len(labels.unique()) < 2:
        raise InputError('logistic regression needs training images of two classes or more')
    inputs, targets = features.cpu().double().numpy(), labels.cpu().numpy()
    model = LogisticRegression(max_iter=MAX_ITERATIONS, warm_start=True)
    for c in sorted(strengths):
        with warnings.catch_warnings():
            # A fit of next to no regularisation may not converge: it is measured as it is.
            warnings.simplefilter('ignore', ConvergenceWarning)
            model.set_params(C=c).fit(inputs, targets)
        yield c, *_softmax_layer(model, num_classes)


def _softmax_layer(model: 'LogisticRegression', num_classes: int) -> tuple[Tensor, Tensor]:
    """Return weight and bias of a layer with a logit for each class."""
    coefficients, intercepts = (
        torch.from_numpy(values).float() for values in (model.coef_, model.intercept_)
    )
    if len(coefficients) == 1:  # of two classes: the logit of the second one over the first
        coefficients = torch.cat((torch.zeros_like(coefficients), coefficients))
        intercepts = torch.cat((torch.zeros_like(intercepts), intercepts))
    weight = torch.zeros(num_classes, coefficients.shape[1])
    bias = torch.full((num_classes,), NEVER)
    present = torch.from_numpy(model.classes_)
    weight[present], bias[present] = coefficients, intercepts
    return weight, bias
