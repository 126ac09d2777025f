"""Choice of the best sub-network within budgets."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import isfinite

from rich.console import Console
from rich.progress import track

from poa_mm.elastic import Subnet
from poa_mm.models.backbones import ElasticBackbone
from poa_mm.selection.cost import ImageSize, params_and_flops
from poa_mm.selection.latency_search import LatencySearch
from poa_mm.selection.pick_inputs import Profiled, format_amount, parse_amount
from poa_mm.selection.profile import extractable

__all__ = ['Candidate', 'Pick', 'pick_subnet']

RUNNERS_UP = 3
NAMES = {'params': 'parameters', 'flops': 'FLOPs', 'latency': 'latency'}


@dataclass(frozen=True)
class Candidate:
    """A sub-network with its costs and, if known, its accuracy.

    Attributes:
        subnet: The sub-network.
        params: Number of parameters.
        flops: Multiply-accumulates for one image.
        accuracy: In percent, if measured.
        latency: Seconds of a forward pass, if measured.
        latency_bound: Lower bound of the latency in seconds, from a sub-network that it exceeds.
    """

    subnet: Subnet
    params: int
    flops: int
    accuracy: float | None = None
    latency: float | None = None
    latency_bound: float | None = None

    def __str__(self) -> str:
        parts = [format_amount('params', self.params), format_amount('flops', self.flops)]
        if self.latency is not None:
            parts.append(format_amount('latency', self.latency))
        elif self.latency_bound is not None:
            parts.append(f'at least {format_amount("latency", self.latency_bound)}')
        if self.accuracy is not None:
            parts.insert(0, f'{self.accuracy:.1f} %')
        return f'{self.subnet} ({", ".join(parts)})'

    def breaks(self, budgets: Mapping[str, float]) -> set[str]:
        """Name the budgets that it exceeds; an unknown cost exceeds none."""
        latency = self.latency_bound if self.latency is None else self.latency
        costs = {'params': self.params, 'flops': self.flops, 'latency': latency}
        limits = {name: (costs[name], limit) for name, limit in budgets.items()}
        return {name for name, (cost, limit) in limits.items() if cost is not None and cost > limit}


@dataclass(frozen=True)
class Pick:
    """The chosen sub-network and the reasons for the choice.

    Attributes:
        chosen: The best one within all budgets.
        reasons: Lines of text.
        runners_up: The next best ones within all budgets. Their latencies may be unknown.
    """

    chosen: Candidate
    reasons: list[str] = field(default_factory=list)
    runners_up: list[Candidate] = field(default_factory=list)

    @property
    def subnet(self) -> Subnet:
        """The chosen sub-network."""
        return self.chosen.subnet


def pick_subnet(
    backbone: ElasticBackbone,
    *,
    max_params: float | str | None = None,
    max_flops: float | str | None = None,
    max_latency: float | str | None = None,
    accuracies: Mapping[Subnet, float] | None = None,
    profile: Mapping[Subnet, Profiled] | None = None,
    latency: Callable[[Subnet], float] | None = None,
    image_size: ImageSize = 224,
    progress: bool = False,
) -> Pick:
    """Choose the best sub-network within all budgets.

    The best one is the most accurate one if accuracies are given, and the smallest of equally
    accurate ones; without accuracies it is the largest one.

    Args:
        backbone: Elastic backbone, with or without weights.
        max_params: Number of parameters, or text such as ``'30M'``.
        max_flops: Multiply-accumulates for one image, or text such as ``'4.6G'``.
        max_latency: Seconds of a forward pass, or text such as ``'20ms'``.
        accuracies: Accuracies of the sub-networks to choose from, as
            :func:`~poa_mm.selection.accuracies_from_csv` reads them.
        profile: Costs of the sub-networks to choose from, as
            :func:`~poa_mm.selection.profile_from_csv` reads them. Computed if not given.
        latency: Measures the latency of a sub-network in seconds, such as
            :func:`~poa_mm.selection.subnet_latency`. It is called for few sub-networks, and only if
            the profile has no latencies;
            :class:`~poa_mm.selection.latency_search.LatencySearch` says what is assumed of others.
        image_size: Side of the images in pixels, or (height, width), for computed costs.
        progress: Show a progress bar.

    Raises:
        ValueError: A budget is not positive, an accuracy is not finite, latencies are neither given
            nor measurable, or no sub-network is within the budgets; the message says what the
            smallest one needs.

    Example:
        >>> from poa_mm.models.backbones import ElasticVisionTransformer
        >>> supernet = ElasticVisionTransformer('deit-tiny', widths=[64, 128, 192])
        >>> pick = pick_subnet(supernet, max_params='3M')
        >>> str(pick.subnet)
        'w128-d12'
        >>> pick.reasons[:2]
        ['3 sub-networks', '2 of them within 3 M parameters']
    """
    budgets = _budgets({'params': max_params, 'flops': max_flops, 'latency': max_latency})
    for subnet, accuracy in (accuracies or {}).items():
        if not isfinite(accuracy):  # NaN would win
            raise ValueError(f'accuracies must be finite, got {accuracy} of {subnet}')
    candidates = _candidates(backbone, accuracies, profile, image_size, progress)
    timed = all(candidate.latency is not None for candidate in candidates)
    if 'latency' in budgets and not timed and latency is None:
        raise ValueError('max_latency needs latencies in profile, or a function that measures them')
    candidates.sort(key=_rank, reverse=True)
    known = [name for name, table in (('accuracy', accuracies), ('profile', profile)) if table]
    reasons = [
        f'{len(candidates)} sub-networks' + (f' with {" and ".join(known)}' if known else '')
    ]
    conditions = {cost.conditions for cost in (profile or {}).values() if cost.conditions}
    reasons += [f'profile: {one}' for one in conditions]
    fitting = candidates
    for name, limit in budgets.items():
        if name != 'latency' or timed:
            fitting = [c for c in fitting if not c.breaks({name: limit})]
            reasons.append(f'{len(fitting)} of them within {format_amount(name, limit)}')
    if not fitting:
        smallest = min(candidates, key=lambda candidate: candidate.params)
        raise ValueError(f'{"; ".join(reasons)}; the smallest one is {smallest}')
    if 'latency' in budgets and not timed and latency is not None:
        search = LatencySearch(latency, budgets['latency'], progress)
        _time(search, fitting)
        limit_text = format_amount('latency', budgets['latency'])
        reasons.append(f'the best of them within {limit_text}, of {len(search.timed)} timed')
        candidates = _with_latencies(candidates, search)
        fitting = [c for c in candidates if not c.breaks(budgets)]
    reasons += _binding(candidates, fitting[0], budgets)
    basis = 'the largest one' if accuracies is None else 'the most accurate one'
    reasons.append(f'{basis}: {fitting[0]}')
    return Pick(fitting[0], reasons, fitting[1 : 1 + RUNNERS_UP])


def _budgets(limits: Mapping[str, float | str | None]) -> dict[str, float]:
    """Convert the budgets that are set to numbers."""
    budgets = {
        name: parse_amount(name, limit) if isinstance(limit, str) else limit
        for name, limit in limits.items()
        if limit is not None
    }
    wrong = {name: limit for name, limit in budgets.items() if not limit > 0}  # NaN too
    if wrong:
        raise ValueError(f'budgets must be positive, got {wrong}')
    return budgets


def _candidates(
    backbone: ElasticBackbone,
    accuracies: Mapping[Subnet, float] | None,
    profile: Mapping[Subnet, Profiled] | None,
    image_size: ImageSize,
    progress: bool,
) -> list[Candidate]:
    """List the sub-networks to choose from, with their costs."""
    members = [
        subnet
        for subnet in backbone.space
        if (accuracies is None or subnet in accuracies) and (profile is None or subnet in profile)
    ]
    if not members:
        raise ValueError('accuracies and profile have no sub-network of this supernet in common')
    members, _ = extractable(backbone, members)
    accuracy = dict(accuracies or {})
    if profile is not None:
        return [
            Candidate(s, profile[s].params, profile[s].flops, accuracy.get(s), profile[s].latency)
            for s in members
        ]
    screen = Console(stderr=True)  # standard output is for the choice alone
    silent = not progress or not screen.is_terminal
    found = params_and_flops(backbone, members, image_size)
    costs = track(found, 'costs', len(members), console=screen, disable=silent, transient=True)
    return [Candidate(s, params, flops, accuracy.get(s)) for s, params, flops in costs]


def _rank(candidate: Candidate) -> tuple[float, float]:
    if candidate.accuracy is None:
        return (candidate.params, candidate.flops)
    return (candidate.accuracy, -candidate.params)


def _time(search: LatencySearch, fitting: Sequence[Candidate]) -> None:
    """Time candidates, given from best to worst, until the best one that is fast is known."""
    if search.run({candidate.subnet: candidate.flops for candidate in fitting}) is None:
        cheapest = min(fitting, key=lambda candidate: candidate.flops)
        raise ValueError(
            f'none of {len(fitting)} sub-networks takes at most '
            f'{format_amount("latency", search.limit)}; the one of fewest FLOPs is '
            f'{replace(cheapest, latency=search.timed[cheapest.subnet])}'
        )


def _with_latencies(candidates: Sequence[Candidate], search: LatencySearch) -> list[Candidate]:
    """Add measured latencies and lower bounds to candidates."""
    flops = {candidate.subnet: candidate.flops for candidate in candidates}
    return [
        replace(
            candidate,
            latency=search.timed.get(candidate.subnet),
            latency_bound=search.at_least(candidate.subnet, flops),
        )
        for candidate in candidates
    ]


def _binding(
    candidates: Sequence[Candidate], chosen: Candidate, budgets: Mapping[str, float]
) -> list[str]:
    """State for each budget which better sub-network would fit without it."""
    better = [candidate for candidate in candidates if _rank(candidate) > _rank(chosen)]
    lines = []
    for name in budgets:
        freed = next((c for c in better if c.breaks(budgets) == {name}), None)
        if freed is None:
            lines.append(f'{NAMES[name]}: this limit makes no difference')
            continue
        unsure = 'latency' in {*budgets} - {name} and freed.latency is None
        condition = ', if fast enough' if unsure else ''
        lines.append(f'{NAMES[name]}: without this limit it would be {freed}{condition}')
    return lines
