"""The plot of the claims: differences with their intervals, seeds as dots."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean

from matplotlib.figure import Figure
from verdict import CONFIDENCE, FAILS, HOLDS, MISSING, NOISE

# Colours of Okabe and Ito, which the colour-blind tell apart; markers for print in grey.
STYLES = {
    HOLDS: ('#009E73', 'o'),
    FAILS: ('#D55E00', 'X'),
    NOISE: ('#0072B2', 's'),
    MISSING: ('#999999', 'D'),
}


@dataclass(frozen=True)
class DotRow:
    """One seed of one claim.

    Args:
        claim: Its short name.
        verdict: On the claim.
        seed: Of the runs that are compared.
        difference: In percentage points.
        low: Of the interval of the claim's mean, NaN if there is none.
        high: Likewise.
    """

    claim: str
    verdict: str
    seed: int
    difference: float
    low: float
    high: float

    def cells(self) -> dict[str, object]:
        """Return the cells of a CSV file by column."""
        return {
            name: f'{value:.4f}' if isinstance(value, float) else value
            for name, value in asdict(self).items()
        }


def draw(
    dots: Sequence[DotRow], path: Path, expected: Mapping[str, str], margins: Mapping[str, float]
) -> None:
    """Draw the claims one below the other.

    Args:
        dots: Of all claims, in their order.
        path: Image to write.
        expected: What each claim says of its difference, by its name.
        margins: Half of the width of the band around zero that counts as equal, by the names of
            those claims that have one.
    """
    names = list(dict.fromkeys(dot.claim for dot in dots))
    figure = Figure(figsize=(8, 1.6 + 0.42 * len(names)), dpi=110, layout='constrained')
    axes = figure.subplots()
    axes.axvline(0, color='0.3', linewidth=1)
    for place, name in enumerate(names):
        own = [dot for dot in dots if dot.claim == name]
        color, marker = STYLES[own[0].verdict]
        if name in margins:
            axes.barh(place, 2 * margins[name], 0.8, -margins[name], color='0.92')
        axes.hlines(place, own[0].low, own[0].high, color=color, linewidth=2)
        average = mean(dot.difference for dot in own)
        axes.plot(average, place, '|', color=color, markersize=14, markeredgewidth=2)
        axes.scatter(
            [dot.difference for dot in own],
            [place] * len(own),
            s=30,
            color=color,
            marker=marker,
            edgecolor='white',
            zorder=3,
        )
    for word, (color, marker) in STYLES.items():
        if any(dot.verdict == word for dot in dots):
            axes.scatter([], [], color=color, marker=marker, label=word)
    axes.set_yticks(range(len(names)), [f'{name}  ({expected[name]})' for name in names])
    axes.invert_yaxis()
    axes.set_xlabel(
        f'difference of k-NN top-1 accuracy (percentage points); line: {CONFIDENCE:.0%} interval'
    )
    axes.grid(axis='x', color='0.9')
    axes.set_axisbelow(True)
    axes.spines[['top', 'right']].set_visible(False)
    figure.legend(loc='outside lower center', ncols=4, frameon=False)
    figure.savefig(path)
