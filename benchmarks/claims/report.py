#!/usr/bin/env python
"""Write what the record says about the claims: docs/claims.md, its plot, and the plot's data.

    python benchmarks/claims/report.py

On the page, what stands between the two marks is replaced; the rest is written by hand.
"""

import argparse
import re
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, stdev

from manifest import CLAIMS, RUNS, STEPS, Claim
from record import RECORD, Row, current, done, read_rows
from runs import all_hashes
from verdict import CONFIDENCE, FAILS, FEWEST, HOLDS, MARGIN, MISSING, NOISE, Verdict, judge

from poa_mm import cli
from poa_mm.files import check_file, replaced
from poa_mm.tables import save_csv

MINUS = re.compile(r'(?<!\S)-(?=\d)|(?<=\()-(?=\d)')
ROOT = Path(__file__).parents[2]
PAGE = ROOT / 'docs' / 'claims.md'
PLOT = ROOT / 'docs' / 'figures' / 'claims.png'
BEGIN, END = '<!-- report.py writes from here -->\n', '<!-- to here -->\n'
EXPECTED = {'+': '> 0', '>=': f'> −{MARGIN:g}', '=': f'within ±{MARGIN:g}', '<=': ''}
KINDS = {'cls': 'class token', 'mean': 'mean patch token'}
OTHER = {'cls': 'mean', 'mean': 'cls'}
WORDS = (HOLDS, FAILS, NOISE, MISSING)
PLURALS = {HOLDS: 'hold', FAILS: 'do not hold'}


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add('--record', type=Path, default=RECORD, help='CSV file (default: that of the repository)')
    add('--feature', choices=['cls', 'mean'], default='cls', help='class token or mean patch token')
    add('--page', type=Path, default=PAGE, help='to write into (default: docs/claims.md)')
    add('--plot', type=Path, default=PLOT, help='with a .csv beside it (default: in docs/figures)')
    cli.add_traceback(parser)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Write the report."""
    return cli.run(report, parse_args(argv))


def report(args: argparse.Namespace) -> None:
    """Do what the command line says."""
    check_file(args.page, 'page')
    if args.plot.with_suffix('.csv').resolve() == args.record.resolve():
        raise ValueError(f'the data of --plot {args.plot} would replace the record {args.record}')
    page = args.page.read_text(encoding='utf-8')
    parts = page.partition(BEGIN)
    if not parts[1] or END not in parts[2]:
        raise ValueError(f'{args.page} lacks the lines {BEGIN.strip()} and {END.strip()}')
    rows, stale = usable_rows(args.record)
    verdicts = verdicts_of(rows, args.feature)
    text = '\n'.join(section(rows, stale, args.feature))
    with replaced(args.page) as partial:
        after = parts[2].partition(END)[2]
        partial.write_text(f'{parts[0]}{BEGIN}\n{text}\n\n{END}{after}', encoding='utf-8')
    drawn = {claim: found for claim, found in verdicts.items() if _has_dots(claim, found)}
    if drawn:
        from plot import DotRow, draw

        args.plot.parent.mkdir(parents=True, exist_ok=True)
        dots = [
            DotRow(claim.name, found.word, seed, value, found.low, found.high)
            for claim, found in drawn.items()
            for seed, value in found.differences.items()
        ]
        save_csv(dots, args.plot.with_suffix('.csv'))
        expected = {claim.name: EXPECTED[claim.expected] for claim in drawn}
        margins = {claim.name: MARGIN for claim in drawn if claim.expected != '+'}
        draw(dots, args.plot, expected, margins)
    print(summary(verdicts))


def usable_rows(record: Path) -> tuple[list[Row], int]:
    """Return the rows of today's configs, and the number of stale ones.

    Raises:
        ValueError: Rows of two sets of images.
    """
    rows = read_rows(record)
    usable = list(current(rows, all_hashes(RUNS), None))
    data = sorted({row.data for row in usable})
    if len(data) > 1:
        raise ValueError(f'{record} has runs on {len(data)} sets of images: {", ".join(data)}')
    return usable, len(rows) - len(usable)


def verdicts_of(rows: Sequence[Row], feature: str) -> dict[Claim, Verdict]:
    """Judge all claims by one kind of feature."""
    return {claim: judge(claim, rows, feature) for claim in CLAIMS}


def summary(verdicts: dict[Claim, Verdict]) -> str:
    """Count the verdicts in one sentence."""
    counts = Counter(found.word for found in verdicts.values())
    told = ', '.join(f'{counts[word]} {PLURALS.get(word, word)}' for word in WORDS if counts[word])
    return f'Of {len(verdicts)} claims: {told}.'


def section(rows: Sequence[Row], stale: int, feature: str) -> list[str]:
    """Return the lines that stand between the marks."""
    verdicts, others = verdicts_of(rows, feature), verdicts_of(rows, OTHER[feature])
    there = done(rows)
    seeds = sorted({seed for _, seed in there})
    minutes = [row.value for row in rows if row.metric == 'minutes' and row.steps == STEPS]
    took = f', {mean(minutes):.0f} minutes a run on average' if minutes else ''
    lines = [
        f'**{summary(verdicts)}** The scale of every row: {STEPS:,} steps of 64 images{took}, '
        'more where FLOPs are equal; k-NN '
        f'(k = 20) of the {KINDS[feature]} of the teacher; {len(there)} runs, seeds '
        f'{", ".join(map(str, seeds)) or "none"}.',
    ]
    if stale:
        lines += ['', f'{stale} stale numbers of the record, of other settings, are left out.']
    lines += [
        '',
        *_table(_claim_cells(verdicts, others, KINDS[OTHER[feature]])),
        '',
        *_lacking(verdicts),
    ]
    if rows:
        lines += ['Accuracy in percent, mean ± standard deviation over the seeds:', '']
        lines += _table(_accuracy_cells(rows, feature))
    if any(_has_dots(claim, found) for claim, found in verdicts.items()):
        lines += ['', '![differences of k-NN accuracy by claim, seeds as dots](figures/claims.png)']
    return lines


def _has_dots(claim: Claim, found: Verdict) -> bool:
    return claim.bound is None and bool(found.differences)


def _claim_cells(
    verdicts: dict[Claim, Verdict], others: dict[Claim, Verdict], other: str
) -> list[list[str]]:
    head = ['claim', 'paper', 'expected', 'seeds', f'mean, {CONFIDENCE:.0%} interval', 'verdict']
    cells = [[*head, f'by the {other}']]
    for claim, found in verdicts.items():
        expected, each = (
            EXPECTED[claim.expected],
            ', '.join(f'{value:+.2f}' for value in found.differences.values()),
        )
        middle = ''
        if claim.bound is not None:
            expected, each = f'≤ {claim.bound:g} ×', 'counted'
            middle = f'{found.low:.2f} ×' if found.differences else ''
        elif len(found.differences) >= FEWEST:
            values = list(found.differences.values())
            middle = f'{mean(values):+.2f} ({found.low:+.2f} … {found.high:+.2f})'
        row = [claim.sentence, claim.paper, expected, each, middle, f'**{found.word}**']
        row.append('' if claim.bound is not None else _in_short(others[claim]))
        cells.append([MINUS.sub('−', cell) for cell in row])
    return cells


def _in_short(found: Verdict) -> str:
    if len(found.differences) < FEWEST:
        return found.word
    return f'{mean(found.differences.values()):+.2f}, {found.word}'


def _lacking(verdicts: dict[Claim, Verdict]) -> list[str]:
    """Name the runs without which claims have no verdict."""
    runs = {run for found in verdicts.values() for run in found.lacking}
    if not runs:
        return []
    names = ', '.join(f'`{run}`' for run in RUNS if run in runs)
    return [f'Not yet in the record with {FEWEST} seeds: {names}.', '']


def _accuracy_cells(rows: Sequence[Row], feature: str) -> list[list[str]]:
    networks = list(dict.fromkeys(name for run in RUNS.values() for name in run.networks))
    networks += sorted({row.network for row in rows if row.network.endswith('pixels')})
    cells = [['run', *networks]]
    for run in RUNS:
        found = [
            [
                row.value
                for row in rows
                if (row.run, row.network, row.metric) == (run, network, feature)
            ]
            for network in networks
        ]
        if any(found):
            cells.append([f'`{run}`', *map(_spread, found)])
    return cells


def _spread(values: Sequence[float]) -> str:
    if not values:
        return ''
    return f'{mean(values):.1f}' + (f' ± {stdev(values):.1f}' if len(values) > 1 else '')


def _table(cells: list[list[str]]) -> list[str]:
    head, *rows = cells
    return ['| ' + ' | '.join(row) + ' |' for row in (head, ['---'] * len(head), *rows)]


if __name__ == '__main__':
    sys.exit(main())
