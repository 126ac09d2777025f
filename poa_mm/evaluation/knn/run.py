"""Rows of a k-NN evaluation that goes on after it was killed."""

from collections.abc import Iterator

from poa_mm.evaluation.baselines import untrained_backbone
from poa_mm.evaluation.journal import Journal
from poa_mm.evaluation.knn.benchmark import (
    KnnRow,
    measured_rows,
    pixel_accuracies,
)
from poa_mm.evaluation.knn.evaluator import KnnEvaluator
from poa_mm.evaluation.networks.measured import Measured, MeasuredSupernet
from poa_mm.evaluation.ranks import from_first_rank

__all__ = ['resumed_rows']

PIXELS_KEY = 'pixels'


def resumed_rows(
    evaluator: KnnEvaluator,
    measured: Measured,
    journal: Journal | None,
    feature: str = 'cls',
    baselines: bool = False,
) -> Iterator[KnnRow]:
    """Yield a row for each network: those of the journal, and new ones, which it keeps.

    Args:
        evaluator: Holds data sets and settings.
        measured: Networks to evaluate.
        journal: Of this evaluation; None in other processes than the first, which writes it.
        feature: Kind of feature, of :data:`~poa_mm.evaluation.features.FEATURES`.
        baselines: Evaluate pixels, and a supernet with random weights if it is one.
    """
    done = from_first_rank({} if journal is None else dict(journal.done))
    pixels = done.get(PIXELS_KEY)
    if baselines and pixels is None:
        pixels = pixel_accuracies(evaluator)
        _keep(journal, PIXELS_KEY, pixels)
    missing = [network for network in measured.networks if network.name not in done]
    untrained = None
    if baselines and missing and isinstance(measured, MeasuredSupernet):
        untrained = untrained_backbone(measured.backbone)
    fresh = measured_rows(evaluator, measured, feature, untrained, pixels, missing)
    for network in measured.networks:
        if network.name in done:
            yield KnnRow.from_plain(done[network.name])
            continue
        row = next(fresh)
        _keep(journal, network.name, row.plain())
        yield row


def _keep(journal: Journal | None, key: str, part: object) -> None:
    if journal is not None:
        journal.add(key, part)
