"""The best sub-network within a budget."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track

from poa_mm.elastic import SearchSpace, Subnet
from poa_mm.evaluation.cost import ImageSize, subnet_cost
from poa_mm.evaluation.csv_rows import read_csv
from poa_mm.evaluation.knn import headline_k

UNITS: dict[str, dict[str, float]] = {
    'params': {'': 1, 'K': 10**3, 'M': 10**6, 'B': 10**9},
    'flops': {'': 1, 'M': 10**6, 'G': 10**9, 'T': 10**12},
    'latency': {'s': 1, 'ms': 1e-3, 'us': 1e-6},
}
EXAMPLES = {'params': '30M', 'flops': '4.6G', 'latency': '20ms'}
SHOWN = 3  # runners-up


@dataclass(frozen=True)
class Candidate:
    """A sub-network and what is known of it.

    Attributes:
        subnet: The sub-network.
        params: Number of parameters.
        flops: Multiply-accumulates for one image.
        accuracy: In percent, if measured.
        latency: Seconds of a forward pass, if measured.
    """

    subnet: Subnet
    params: int
    flops: int
    accuracy: float | None = None
    latency: float | None = None

    def __str__(self) -> str:
        parts = [f'{self.params / 1e6:.2f} M parameters', f'{self.flops / 1e9:.2f} GFLOPs']
        if self.accuracy is not None:
            parts.insert(0, f'{self.accuracy:.1f} %')
        if self.latency is not None:
            parts.append(f'{self.latency * 1e3:.1f} ms')
        return f'{self.subnet} ({", ".join(parts)})'


@dataclass(frozen=True)
class Pick:
    """A sub-network, and why it is this one.

    Attributes:
        chosen: The best one within all budgets.
        reasons: In words, a line each.
        runners_up: The next best ones within the budgets whose costs were looked at.
    """

    chosen: Candidate
    reasons: list[str] = field(default_factory=list)
    runners_up: list[Candidate] = field(default_factory=list)


def pick_subnet(
    backbone: Any,
    *,
    max_params: float | None = None,
    max_flops: float | None = None,
    max_latency: float | None = None,
    accuracies: Mapping[Subnet, float] | None = None,
    latency: Callable[[Subnet], float] | None = None,
    image_size: ImageSize = 224,
    progress: bool = False,
) -> Pick:
    """The best sub-network within all budgets.

    Best is the most accurate one where accuracies are given, and the largest one elsewhere; of
    equally accurate ones, the smallest.

    Args:
        backbone: Elastic backbone, with or without weights.
        max_params: Number of parameters.
        max_flops: Multiply-accumulates for one image.
        max_latency: Seconds of a forward pass.
        accuracies: Accuracy of sub-networks, such as :func:`accuracies_from_csv` reads; others do
            not take part.
        latency: Measures one sub-network, in seconds, such as
            :func:`~poa_mm.evaluation.latency.subnet_latency`. Called from the best one down until
            one is fast enough.
        image_size: Side of the images in pixels, or (height, width).
        progress: Show a progress bar.

    Raises:
        ValueError: A budget that is not positive, a latency without a way to measure it, or
            nothing within the budgets; says what the smallest one needs.
    """
    budgets = {'params': max_params, 'flops': max_flops, 'latency': max_latency}
    wrong = {name: value for name, value in budgets.items() if value is not None and not value > 0}
    if wrong:
        raise ValueError(f'budgets must be positive, got {wrong}')
    if max_latency is not None and latency is None:
        raise ValueError('max_latency needs latency, a function that measures a sub-network')
    members = list(backbone.space if accuracies is None else accuracies)
    reasons = [f'{len(members)} sub-networks' + (' with an accuracy' if accuracies else '')]
    params = {member: backbone.num_params(member) for member in members}
    if max_params is not None:
        members = [member for member in members if params[member] <= max_params]
        reasons.append(f'{len(members)} of them within {_amount("params", max_params)}')
    # Only now, since this traces the networks.
    fitting = [
        Candidate(member, params[member], cost.flops, (accuracies or {}).get(member))
        for member, cost in _costs(backbone, members, image_size, progress)
    ]
    if len(fitting) < len(members):
        reasons.append(f'{len(fitting)} of them can be extracted')
    if max_flops is not None:
        fitting = [candidate for candidate in fitting if candidate.flops <= max_flops]
        reasons.append(f'{len(fitting)} of them within {_amount("flops", max_flops)}')
    if not fitting:
        smallest = min(params, key=params.__getitem__)
        flops = subnet_cost(backbone, smallest, image_size).flops
        raise ValueError(
            f'{"; ".join(reasons)}; the smallest one is '
            f'{Candidate(smallest, params[smallest], flops)}'
        )
    fitting.sort(key=_rank, reverse=True)
    chosen = fitting[0]
    if max_latency is not None and latency is not None:
        chosen, tried = _first_fast(fitting, latency, max_latency)
        reasons.append(
            f'the best of them within {_amount("latency", max_latency)}, of {tried} timed'
        )
    basis = 'the largest one' if accuracies is None else 'the most accurate one'
    reasons.append(f'{basis}: {chosen}')
    next_ones = fitting[fitting.index(_untimed(chosen)) + 1 :][:SHOWN]
    return Pick(chosen, reasons, next_ones)


def accuracies_from_csv(path: str | Path, space: SearchSpace) -> dict[Subnet, float]:
    """Accuracies of a table that ``tools/eval_knn.py`` wrote, at its headline number of neighbours.

    Raises:
        FileNotFoundError: No such file.
        ValueError: Not such a table, or one of another supernet.
    """
    rows = read_csv(path, ['subnet'])
    ks = [int(name[1:]) for name in rows[0] if re.fullmatch(r'k\d+', name)]
    if not ks:
        raise ValueError(f'{path} has no column with an accuracy (k10, k20, …)')
    column = f'k{headline_k(ks)}'
    try:
        return {space[row['subnet']]: float(row[column]) for row in rows}
    except ValueError as error:
        raise ValueError(f'{path} does not fit this supernet: {error}') from error


def parse_amount(kind: str, text: str) -> float:
    """A budget as people write it: ``'30M'`` parameters, ``'4.6G'`` FLOPs, ``'20ms'``.

    Args:
        kind: ``'params'``, ``'flops'`` or ``'latency'``.
        text: Number and unit.

    Raises:
        ValueError: Not a positive number with a known unit.
    """
    units = UNITS[kind]
    match = re.fullmatch(r'(\d+(?:\.\d+)?)([A-Za-z]*)', text.strip())
    if match is None or match[2] not in units or not float(match[1]) > 0:
        known = ', '.join(unit for unit in units if unit)
        raise ValueError(
            f'{text!r} is no amount of {kind}: write {EXAMPLES[kind]} (units: {known})'
        )
    return float(match[1]) * units[match[2]]


def _costs(
    backbone: Any, members: Sequence[Subnet], image_size: ImageSize, progress: bool
) -> Iterator[tuple[Subnet, Any]]:
    console = Console(stderr=True)
    for member in track(members, 'sub-networks', console=console, disable=not progress):
        try:
            backbone.subnet_cfg(member)
        except ValueError:  # no stock network is this one: see ElasticSwinTransformer's `official`
            continue
        yield member, subnet_cost(backbone, member, image_size)


def _rank(candidate: Candidate) -> tuple[float, float]:
    if candidate.accuracy is None:
        return (candidate.params, candidate.flops)
    return (candidate.accuracy, -candidate.params)


def _first_fast(
    fitting: Sequence[Candidate], latency: Callable[[Subnet], float], limit: float
) -> tuple[Candidate, int]:
    """The first candidate that is fast enough, with its latency, and how many were timed."""
    for number, candidate in enumerate(fitting, start=1):
        seconds = latency(candidate.subnet)
        timed = Candidate(**{**vars(candidate), 'latency': seconds})
        if seconds <= limit:
            return timed, number
    raise ValueError(
        f'none of {len(fitting)} sub-networks takes at most {_amount("latency", limit)}; the last '
        f'one timed is {timed}'
    )


def _untimed(candidate: Candidate) -> Candidate:
    return Candidate(**{**vars(candidate), 'latency': None})


def _amount(kind: str, value: float) -> str:
    names = {'params': 'parameters', 'flops': 'FLOPs', 'latency': ''}
    unit, size = max(
        ((unit, size) for unit, size in UNITS[kind].items() if size <= value),
        key=lambda pair: pair[1],
        default=min(UNITS[kind].items(), key=lambda pair: pair[1]),
    )
    return f'{value / size:g} {unit} {names[kind]}'.strip().replace('  ', ' ')
