"""Results of linear probing: lines of a results file, cells of a CSV file, a table."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import fmean, stdev

from rich.table import Table

from poa_mm.elastic import Depth
from poa_mm.evaluation.networks.measured import Network
from poa_mm.evaluation.probe.heads import Head, Regularised
from poa_mm.evaluation.probe.settings import ProbeResult
from poa_mm.evaluation.results import JSON, Result

__all__ = ['ProbeRow', 'edge_note', 'probe_results', 'probe_table']


@dataclass(frozen=True)
class ProbeRow:
    """Results of one network.

    Args:
        network: Which one.
        by_seed: Results by seed.
        seconds: That training and measuring took, without computing features, if known.
    """

    network: Network
    by_seed: Mapping[int, ProbeResult]
    seconds: float | None = None

    @property
    def subnet(self) -> str:
        """Width and depth of a sub-network, or the name of a model."""
        return self.network.name

    @property
    def name(self) -> str:
        """Well-known name of a sub-network, or ''."""
        return self.network.known_as

    @property
    def width(self) -> int:
        """Elastic width; 0 of a network that is none of a supernet."""
        return self.network.subnet.width if self.network.subnet else 0

    @property
    def depth(self) -> Depth:
        """Elastic depth; 0 as above."""
        return self.network.subnet.depth if self.network.subnet else 0

    @property
    def params(self) -> int:
        """Number of parameters, without a classifier."""
        return self.network.params

    @property
    def accuracy(self) -> float:
        """Mean over the seeds in percent, for plots."""
        return self.mean

    @property
    def accuracies(self) -> list[float]:
        """Accuracy in percent of each seed's chosen head on the test images."""
        return [result.top1 for result in self.by_seed.values()]

    @property
    def mean(self) -> float:
        """Mean over the seeds."""
        return fmean(self.accuracies)

    @property
    def std(self) -> float | None:
        """Standard deviation over the seeds, of the sample; None of a single one."""
        return stdev(self.accuracies) if len(self.by_seed) > 1 else None

    @property
    def first(self) -> ProbeResult:
        """Result of the first seed, whose head is saved."""
        return next(iter(self.by_seed.values()))

    def cells(self) -> dict[str, object]:
        """Return the cells of a CSV file by column."""
        head = self.first.best.head
        return {
            'network': self.network.name,
            'name': self.network.known_as,
            'params': self.network.params,
            'top1': f'{self.mean:.3f}',
            'std': '' if self.std is None else f'{self.std:.3f}',
            'seeds': len(self.by_seed),
            'chosen_on_top1': f'{self.first.chosen_on[self.first.chosen]:.3f}',
            'source': head.source,
            **{name: f'{value:g}' for name, value in _numbers(head).items()},
            'heads': len(self.first.heads),
        }


def probe_results(row: ProbeRow, common: Result) -> Iterator[Result]:
    """Yield the results of a network: the chosen head, and each head of the sweep.

    Args:
        row: Of the network.
        common: What all lines say: protocol, source, data, settings, versions. Its number and
            network are not looked at.

    Yields:
        ``top1``, the mean over the seeds, and ``top1_std``; of each seed ``chosen_top1``; of each
        head ``head_top1`` on the test images and ``head_chosen_on_top1`` on those of the choice.
    """
    seeds: JSON = list(row.by_seed)
    common = replace(
        common, network=row.network.name, name=row.network.known_as, seconds=row.seconds
    )
    of_all = {**common.settings, 'seeds': seeds}
    yield replace(common, metric='top1', value=row.mean, settings=of_all)
    if row.std is not None:
        yield replace(common, metric='top1_std', value=row.std, settings=of_all)
    for seed, result in row.by_seed.items():
        of_seed = {**common.settings, 'seed': seed}
        for number, head in enumerate(result.heads):
            settings: dict[str, JSON] = {**of_seed, **asdict(head)}
            values = {
                'head_top1': result.test[number],
                'head_chosen_on_top1': result.chosen_on[number],
            }
            if number == result.chosen:
                values['chosen_top1'] = result.top1
            for metric, value in values.items():
                yield replace(common, metric=metric, value=value, settings=settings, seconds=None)


def probe_table(
    rows: Sequence[ProbeRow],
    title: str,
    baselines: Mapping[str, Mapping[str, float]] | None = None,
) -> Table:
    """Make a table for the screen, with a line for each network.

    Args:
        rows: Results; one or more.
        title: Over the table.
        baselines: Accuracies in percent by kind and network; ``pixels`` goes below the table.
    """
    by_kind = dict(baselines or {})
    pixels = by_kind.pop('pixels', {})
    caption = ', '.join(f'{name} {value:.2f}' for name, value in pixels.items())
    names = list(_numbers(rows[0].first.best.head))
    table = Table(title=title, caption=caption or None)
    for column in ('network', 'name'):
        table.add_column(column, overflow='fold')  # long names stay whole
    for column in ('params (M)', 'top-1', *by_kind, 'on choice', 'source', *names):
        on_a_line = column == 'top-1' or column in by_kind  # such as a mean with its deviation
        table.add_column(column.replace('_', ' '), justify='right', no_wrap=on_a_line)
    for row in rows:
        head, chosen = row.first.best.head, row.first.chosen
        spread = '' if row.std is None else f' ± {row.std:.2f}'
        table.add_row(
            row.network.name,
            row.network.known_as,
            f'{row.network.params / 1e6:.2f}',
            f'{row.mean:.2f}{spread}',
            *(f'{values[row.network.name]:.2f}' for values in by_kind.values()),
            f'{row.first.chosen_on[chosen]:.2f}',
            head.source,
            *(f'{value:g}' for value in _numbers(head).values()),
        )
    return table


def edge_note(rows: Sequence[ProbeRow]) -> str | None:
    """Say of how many networks the best rate, or C, is the last one tried, if of any."""
    name = next(iter(_numbers(rows[0].first.best.head)))
    tried = [getattr(head, name) for head in rows[0].first.heads]
    if len(set(tried)) < 2:
        return None
    best = [getattr(row.first.best.head, name) for row in rows]
    counts = {'smallest': best.count(min(tried)), 'largest': best.count(max(tried))}
    said = [f'{count} of {len(rows)} the {word}' for word, count in counts.items() if count]
    return f'the best {name} is for {" and for ".join(said)} one tried' if said else None


def _numbers(head: Head | Regularised) -> dict[str, float]:
    """Return the settings of a head that are numbers: the learning rate first, or C."""
    return {name: value for name, value in asdict(head).items() if name != 'source'}
