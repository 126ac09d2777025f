"""k-NN accuracies of a checkpoint's sub-networks among the results of all evaluations."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from poa_mm.evaluation.results import Result, latest, read_results
from poa_mm.tables import headline_k

__all__ = ['Scores', 'find_results', 'scores_of']

METRICS = ('top1', 'macro_top1')
FILE = 'results.jsonl'  # of tools/eval_knn.py, in its folder of results


@dataclass(frozen=True)
class Scores:
    """Accuracies of sub-networks, all measured in one way.

    Args:
        accuracies: Top-1 accuracy in percent by sub-network.
        k: Number of neighbours.
        metric: ``'top1'`` or ``'macro_top1'``.
        data: Name of the data set.
        data_sha256: What tells data sets of one name apart.
        settings: All else that can change the numbers.
        untrained: Accuracy in percent with random weights, by sub-network, where measured.
        pixels: Accuracies in percent of pixels by kind, where measured.
    """

    accuracies: Mapping[str, float]
    k: int
    metric: str = 'top1'
    data: str = ''
    data_sha256: str = ''
    settings: Mapping[str, object] = field(default_factory=dict)
    untrained: Mapping[str, float] = field(default_factory=dict)
    pixels: Mapping[str, float] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """What the numbers are, with their unit."""
        averaged = {'top1': 'top-1', 'macro_top1': 'macro top-1'}[self.metric]
        return f'k-NN {averaged} accuracy (%), k = {self.k}'


def find_results(checkpoint: Path) -> list[Path]:
    """List files of results in the folders beside a checkpoint."""
    return sorted(checkpoint.parent.glob(f'*/{FILE}'))


def scores_of(results: Iterable[Result], source_sha256: str) -> Scores | None:
    """Choose the accuracies to show: of the measurement that was made last, at k = 20.

    If 20 was not evaluated, it is the k nearest to it.

    Args:
        results: Of any protocols and checkpoints.
        source_sha256: SHA-256 of the checkpoint; results of others are passed over.

    Returns:
        The accuracies; None if there is no k-NN result of this checkpoint.
    """
    own = [
        one
        for one in latest(results)
        if one.protocol == 'knn' and one.source_sha256 == source_sha256
    ]
    measured = [one for one in own if one.metric in METRICS]
    if not measured:
        return None
    last = measured[-1]
    way = _way(last)
    alike = [one for one in measured if one.metric == last.metric and _way(one) == way]
    k = headline_k(sorted({int(str(one.settings['k'])) for one in alike}))
    chosen = [one for one in alike if one.settings['k'] == k]
    beside = [one for one in own if one.data_sha256 == last.data_sha256 and one.settings['k'] == k]
    untrained = [one for one in beside if one.metric == f'untrained_{last.metric}']
    pixels = [one for one in beside if one.metric.endswith(f'_pixels_{last.metric}')]
    return Scores(
        accuracies={one.network: one.value for one in chosen},
        k=k,
        metric=last.metric,
        data=last.data,
        data_sha256=last.data_sha256,
        settings={name: value for name, value in last.settings.items() if name != 'k'},
        untrained={one.network: one.value for one in untrained},
        pixels={
            one.metric.removesuffix(f'_{last.metric}').replace('_', ' '): one.value
            for one in pixels
        },
    )


def read_scores(paths: Sequence[Path], source_sha256: str) -> Scores | None:
    """Read files of results and choose as :func:`scores_of`.

    Raises:
        FileNotFoundError: No such file.
        ValueError: As :func:`~poa_mm.evaluation.read_results`.
    """
    return scores_of(read_results(*paths), source_sha256)


def _way(result: Result) -> str:
    """Tell ways of measuring apart, but for k."""
    settings = {name: value for name, value in result.settings.items() if name != 'k'}
    return json.dumps([result.data_sha256, settings], sort_keys=True)
