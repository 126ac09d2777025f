"""From accuracies of several seeds to a verdict on a claim."""

import math
from collections.abc import Mapping, Sequence
from statistics import mean, stdev
from typing import NamedTuple

from manifest import Claim, Part
from record import Row

CONFIDENCE = 0.9  # of the interval: a claim has one direction, in which it is wrong at 5 %
MARGIN = 1.0  # points that count as equal
FEWEST = 3  # seeds
HOLDS, FAILS, NOISE, MISSING = 'holds', 'does not hold', 'within noise', 'not yet'


class Verdict(NamedTuple):
    """What the record says about a claim.

    Attributes:
        word: One of :data:`HOLDS`, :data:`FAILS`, :data:`NOISE`, :data:`MISSING`.
        differences: In points, by seed; the ratio for a claim on costs.
        low: Of the interval of the mean difference; NaN below two seeds.
        high: Likewise.
        lacking: Runs that have no value, of seeds that others have.
    """

    word: str
    differences: dict[int, float]
    low: float = math.nan
    high: float = math.nan
    lacking: tuple[str, ...] = ()


def judge(claim: Claim, rows: Sequence[Row], metric: str) -> Verdict:
    """Judge a claim by its expected sign and a paired t interval over seeds.

    A difference above zero holds if the whole interval is; ``'='`` if the interval lies within the
    margin, ``'>='`` if it lies above minus the margin. It does not hold if the interval lies wholly
    on the other side. In between, or with less than three seeds, noise decides nothing.

    Args:
        claim: Of the manifest.
        rows: Of the record, none of them stale.
        metric: ``'cls'`` or ``'mean'``.
    """
    if claim.bound is not None:
        return _judge_cost(claim, rows)
    values = {(row.run, row.seed, row.network): row.value for row in rows if row.metric == metric}
    seeds = sorted({seed for _, seed, _ in values})
    found = {seed: _difference(claim.parts, seed, values) for seed in seeds}
    differences = {seed: value for seed, value in found.items() if value is not None}
    if len(differences) < FEWEST:
        runs = {part.run for part in claim.parts}
        there = {run: {seed for r, seed, _ in values if r == run} for run in runs}
        lacking = tuple(sorted(run for run in runs if len(there[run]) < FEWEST))
        return Verdict(MISSING, differences, lacking=lacking)
    low, high = interval(list(differences.values()))
    return Verdict(_word(claim.expected, low, high), differences, low, high)


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Return the t interval of a mean, of two values or more.

    Example:
        >>> [round(end, 3) for end in interval([1.0, 2.0, 3.0])]
        [0.314, 3.686]
    """
    from scipy.stats import t

    half = t.ppf((1 + CONFIDENCE) / 2, len(values) - 1) * stdev(values) / math.sqrt(len(values))
    return mean(values) - half, mean(values) + half


def _word(expected: str, low: float, high: float) -> str:
    least, most = {'+': (0.0, math.inf), '>=': (-MARGIN, math.inf), '=': (-MARGIN, MARGIN)}[
        expected
    ]
    if least < low and high < most:
        return HOLDS
    if high < least or most < low:
        return FAILS
    return NOISE


def _difference(
    parts: Sequence[Part], seed: int, values: Mapping[tuple[str, int, str], float]
) -> float | None:
    """Add the parts up for one seed; None if a value is missing."""
    keys = [[(part.run, seed, network) for network in part.networks] for part in parts]
    if any(key not in values for group in keys for key in group):
        return None
    means = (mean(values[key] for key in group) for group in keys)
    return sum(part.sign * value for part, value in zip(parts, means, strict=True))


def _judge_cost(claim: Claim, rows: Sequence[Row]) -> Verdict:
    """Compare FLOPs, which are counted and have no noise."""
    assert claim.bound is not None
    flops = {row.run: row.value for row in rows if row.metric == 'gflop'}
    first, second = (part.run for part in claim.parts)
    lacking = tuple(run for run in (first, second) if run not in flops)
    if lacking:
        return Verdict(MISSING, {}, lacking=lacking)
    ratio = flops[first] / flops[second]
    return Verdict(HOLDS if ratio <= claim.bound else FAILS, {0: ratio}, ratio, ratio)
