"""Do measures without labels choose the network that labels would choose?"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean

from torch import Tensor

from poa_mm.evaluation.label_free.measures import alpha_req, lidar, rankme

__all__ = ['MEASURES', 'Agreement', 'agreement', 'measure']

# By name: how high a network stands by a value; α-ReQ is best near 1.
MEASURES: Mapping[str, Callable[[float], float]] = {
    'rankme': lambda value: value,
    'lidar': lambda value: value,
    'alpha_req': lambda value: -abs(value - 1),
}
FEWEST = 3  # networks for a correlation


def measure(features: Tensor, views: Tensor) -> dict[str, float]:
    """Compute all measures of a network.

    Args:
        features: Of images, (N, D).
        views: Of q augmented views of each of n images, (n, q, D).

    Raises:
        ValueError: As :func:`~poa_mm.evaluation.rankme`, :func:`~poa_mm.evaluation.lidar` and
            :func:`~poa_mm.evaluation.alpha_req`.
    """
    return {
        'rankme': rankme(features),
        'lidar': lidar(views),
        'alpha_req': alpha_req(features),
    }


@dataclass(frozen=True)
class Agreement:
    """How well a measure agrees with an accuracy.

    Args:
        measure: Of :data:`MEASURES`.
        spearman: Rank correlation over all networks, from -1 to 1; None if one of the two is the
            same for all, or of fewer than three networks.
        within: Its mean within groups, such as networks of one width; None likewise.
        chosen: The network that stands highest by the measure.
        accuracy: Accuracy of that one.
        best: Highest accuracy of all.
    """

    measure: str
    spearman: float | None
    within: float | None
    chosen: str
    accuracy: float
    best: float

    @property
    def regret(self) -> float:
        """What the choice costs, in points of the accuracy."""
        return self.best - self.accuracy

    @property
    def title(self) -> str:
        """The correlations in a line, for a plot."""
        told = {'Spearman': self.spearman, 'within a width': self.within}
        return ', '.join(f'{k} {v:+.2f}' for k, v in told.items() if v is not None)

    def cells(self) -> dict[str, object]:
        """Return the cells of a CSV file by column."""
        correlations = {'spearman': self.spearman, 'within': self.within}
        return {
            'measure': self.measure,
            **{key: '' if v is None else f'{v:.4f}' for key, v in correlations.items()},
            'chosen': self.chosen,
            'accuracy': f'{self.accuracy:.3f}',
            'best': f'{self.best:.3f}',
            'regret': f'{self.regret:.3f}',
        }


def agreement(
    name: str,
    values: Mapping[str, float],
    accuracies: Mapping[str, float],
    groups: Mapping[str, object] | None = None,
) -> Agreement:
    """Compare a measure with an accuracy over networks.

    Args:
        name: Of :data:`MEASURES`.
        values: The measure by network.
        accuracies: The accuracy by network.
        groups: What networks of a group have in common, by network, such as the width; ``None`` for
            none.

    Raises:
        ValueError: No network has both.

    Example:
        >>> found = agreement('rankme', {'a': 3, 'b': 9, 'c': 7}, {'a': 50, 'b': 60, 'c': 61})
        >>> found.spearman, found.chosen, found.regret
        (0.5, 'b', 1)
    """
    networks = [network for network in values if network in accuracies]
    if not networks:
        raise ValueError(f'no network has both {name} and an accuracy')
    heights = {network: MEASURES[name](values[network]) for network in networks}
    chosen = max(networks, key=heights.__getitem__)
    members: dict[object, list[str]] = defaultdict(list)
    for network in networks:
        members[groups[network] if groups else None].append(network)
    correlations = [_spearman(heights, accuracies, group) for group in members.values()]
    found = [value for value in correlations if value is not None]
    return Agreement(
        measure=name,
        spearman=_spearman(heights, accuracies, networks),
        within=mean(found) if groups and found else None,
        chosen=chosen,
        accuracy=accuracies[chosen],
        best=max(accuracies[network] for network in networks),
    )


def _spearman(
    heights: Mapping[str, float], accuracies: Mapping[str, float], networks: Sequence[str]
) -> float | None:
    from scipy.stats import spearmanr

    pairs = [[table[network] for network in networks] for table in (heights, accuracies)]
    if len(networks) < FEWEST or any(len(set(column)) == 1 for column in pairs):
        return None
    return round(float(spearmanr(*pairs).statistic), 12)
