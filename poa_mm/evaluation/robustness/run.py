"""Robustness of many networks, by a classifier on clean features: rows, table, results."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import mean, stdev
from typing import Any

from rich.table import Table
from torch import Tensor, nn

from poa_mm.evaluation.baselines import baseline_result, lines_of
from poa_mm.evaluation.features import PIXELS
from poa_mm.evaluation.network_features import FeatureReader
from poa_mm.evaluation.network_row import NetworkRow, shared_fields
from poa_mm.evaluation.networks.measured import Measured, Network
from poa_mm.evaluation.results import Result
from poa_mm.evaluation.robustness.classifiers import Classifier
from poa_mm.evaluation.robustness.curves import Corruption

__all__ = [
    'Prediction',
    'RobustnessRow',
    'baseline_curves',
    'curves',
    'normalised_batches',
    'robustness_results',
    'robustness_rows',
    'robustness_table',
    'untrained_key',
]

SHOWN = ('0%', '50%', '90%', '2x2', '4x4', '8x8', '14x14', '16x16')  # columns on the screen
PIXEL_KEYS = tuple(f'{kind}_pixels' for kind in PIXELS)


@dataclass(frozen=True)
class RobustnessRow(NetworkRow):
    """Accuracy of one network on images with one corruption.

    Args:
        subnet: See :class:`NetworkRow`, as for the next four.
        what: The corruption.
        runs: Accuracy in percent of each repeat.
        baselines: The same by baseline, ``'untrained'``, ``'raw_pixels'`` and
            ``'normalised_pixels'``; empty if not evaluated.
    """

    what: Corruption
    runs: tuple[float, ...]
    baselines: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    @property
    def accuracy(self) -> float:
        """Mean accuracy in percent."""
        return mean(self.runs)

    def accuracy_of(self, baseline: str = '') -> float:
        """Return the mean accuracy of a baseline in percent, or that of the network."""
        return mean(self.baselines[baseline]) if baseline else self.accuracy

    def cells(self) -> dict[str, object]:
        """Return the cells of a CSV file by column; baselines only if they were evaluated."""
        beside = {f'{one}_accuracy': f'{self.accuracy_of(one):.3f}' for one in self.baselines}
        return {
            **super().cells(),
            'corruption': self.what.kind,
            'level': self.what.level,
            'accuracy': f'{self.accuracy:.3f}',
            'std': f'{stdev(self.runs) if len(self.runs) > 1 else 0:.3f}',
            **beside,
        }


class Prediction:
    """Classes that networks predict for images.

    Args:
        measured: Networks.
        classifiers: Classifier of each network's tokens, by its name.
    """

    def __init__(self, measured: Measured, classifiers: Mapping[str, Classifier]) -> None:
        self.measured = measured
        self.classifiers = classifiers

    def __call__(
        self, images: Tensor, networks: Sequence[Network] | None = None
    ) -> Iterator[tuple[str, Tensor]]:
        """Yield the name of each network and the classes (B,) of normalised images (B, C, H, W)."""
        for network, tokens in self.measured.tokens(images, networks):
            yield network.name, self.classifiers[network.name](tokens)


def normalised_batches(
    loader: Iterable[tuple[Tensor, Tensor]], preprocessor: nn.Module
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield normalised images (B, C, H, W) and their classes (B,)."""
    for images, labels in loader:
        yield preprocessor({'inputs': images, 'data_samples': None})['inputs'], labels


def robustness_rows(
    accuracies: Mapping[Corruption, Mapping[str, tuple[float, ...]]], networks: Sequence[Network]
) -> Iterator[RobustnessRow]:
    """Yield the rows of :func:`~poa_mm.evaluation.robustness.curves.robustness_accuracies`."""
    for network in networks:
        keys = {'untrained': untrained_key(network.name)} | {name: name for name in PIXEL_KEYS}
        for what, by_network in accuracies.items():
            yield RobustnessRow(
                **NetworkRow.fields_of(network),
                what=what,
                runs=by_network[network.name],
                baselines={n: by_network[key] for n, key in keys.items() if key in by_network},
            )


def untrained_key(network: str) -> str:
    """Name a network with random weights among the networks of accuracies."""
    return f'{network} untrained'


def curves(
    rows: Iterable[RobustnessRow], kind: str, baseline: str = ''
) -> dict[str, dict[float, float]]:
    """Return accuracies by strength and network, for a plot; the clean image is 1 piece."""
    found: dict[str, dict[float, float]] = {}
    for row in rows:
        of_network = found.setdefault(row.name or row.subnet, {})
        if row.what.kind == kind:
            of_network[row.what.strength] = row.accuracy_of(baseline)
        elif kind == 'shuffle' and not row.what.tenths:
            of_network[1] = row.accuracy_of(baseline)
    return found


def baseline_curves(
    rows: Sequence[RobustnessRow],
) -> dict[str, tuple[dict[str, dict[float, float]], dict[str, dict[float, float]]]]:
    """Return :func:`curves` of dropped and of shuffled patches, by the name of the baseline."""
    found = {}
    for baseline in rows[0].baselines:
        # Pixels are the same for all networks.
        some = [row for row in rows if baseline == 'untrained' or row.subnet == rows[0].subnet]
        (told,) = lines_of({baseline: [0.0]})
        found[told] = (curves(some, 'occlusion', baseline), curves(some, 'shuffle', baseline))
    return found


def robustness_table(rows: Sequence[RobustnessRow], title: str) -> Table:
    """Make a table for the screen, with some of the levels."""
    by_network: dict[str, dict[str, RobustnessRow]] = {}
    for row in rows:
        by_network.setdefault(row.subnet, {})[row.what.level] = row
    first = next(iter(by_network.values()))
    levels = [level for level in SHOWN if level in first]
    table = Table('network', 'name', title=title)
    for level in levels:
        table.add_column(level, justify='right')
    for network, by_level in by_network.items():
        name = next(iter(by_level.values())).name
        table.add_row(network, name, *(f'{by_level[level].accuracy:.1f}' for level in levels))
    for baseline in rows[0].baselines:
        for network, by_level in by_network.items():
            if baseline == 'untrained' or network == rows[0].subnet:
                names = (
                    (network, baseline) if baseline == 'untrained' else baseline.split('_')[::-1]
                )
                cells = (f'{by_level[level].accuracy_of(baseline):.1f}' for level in levels)
                table.add_row(*names, *cells, style='dim')
    return table


def robustness_results(
    rows: Sequence[RobustnessRow],
    measured: Measured,
    reader: FeatureReader,
    settings: Mapping[str, Any],
) -> Iterator[Result]:
    """Yield the mean accuracies of networks and baselines in the format of all results.

    Args:
        rows: Of :func:`robustness_rows`.
        measured: What they are of.
        reader: What they were made with.
        settings: What can change the numbers, beside the corruption.
    """
    about = shared_fields(measured, reader.data)
    for row in rows:
        grid = 'x'.join(map(str, row.what.grid))
        result = Result(
            row.what.kind,
            'top1',
            row.accuracy,
            row.subnet,
            row.name,
            settings={'level': row.what.level, 'grid': grid, **settings},
            **about,
        )
        yield result
        for baseline in row.baselines:
            if baseline == 'untrained' or row.subnet == rows[0].subnet:
                yield baseline_result(result, baseline, row.accuracy_of(baseline))
