#!/usr/bin/env python
"""Print what benchmarks/finetune.sh has measured as a markdown table.

    python benchmarks/finetune_table.py FOLDER

Top-1 after the last epoch in percent, mean ± standard deviation over the seeds.
"""

import argparse
import json
import re
import sys
from collections import defaultdict
from pathlib import Path
from statistics import mean, stdev

from poa_mm import cli
from poa_mm.files import check_folder

RUN = re.compile(r'(?P<start>fine-tuned|scratch|distilled)-(?P<net>.+)-(?P<percent>\d+)-seed\d+')
HEAD = ('sub-network', 'labels', 'fine-tuned', 'from scratch', 'difference', 'ratio', 'distilled')


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('folder', type=Path, help='that benchmarks/finetune.sh wrote to')
    cli.add_traceback(parser)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Print the table."""
    return cli.run(show, parse_args(argv))


def show(args: argparse.Namespace) -> None:
    """Read the runs that have ended, and print their table."""
    check_folder(args.folder)
    found: dict[tuple[str, int], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for path in sorted(args.folder.glob('*/done')):
        if run := RUN.fullmatch(path.parent.name):
            values = found[run['net'], int(run['percent'])]
            values[run['start']].append(last_accuracy(path.parent))
    if not found:
        raise ValueError(f'no run in {args.folder} has ended')
    print('\n'.join(table(found)))


def last_accuracy(run: Path) -> float:
    """Return the accuracy after the last epoch in percent."""
    lines = [
        json.loads(line)
        for path in sorted(run.glob('*/vis_data/scalars.json'))
        for line in path.read_text().splitlines()
    ]
    return [line['accuracy/top1'] for line in lines if 'accuracy/top1' in line][-1]


def table(found: dict[tuple[str, int], dict[str, list[float]]]) -> list[str]:
    """Return the lines of the table."""
    lines = [HEAD, ('---',) * len(HEAD)]
    for (net, percent), values in sorted(found.items(), key=lambda item: (item[0][0], item[0][1])):
        tuned, scratch = values['fine-tuned'], values['scratch']
        gap = ratio = ''
        if tuned and scratch:
            gap = f'{mean(tuned) - mean(scratch):+.1f}'
            ratio = f'{mean(tuned) / mean(scratch):.2f}'
        row = (f'`{net}`', f'{percent} %', spread(tuned), spread(scratch), gap, ratio)
        lines.append((*row, spread(values['distilled'])))
    return ['| ' + ' | '.join(line) + ' |' for line in lines]


def spread(values: list[float]) -> str:
    """Write the mean of some values and their standard deviation."""
    if not values:
        return ''
    return f'{mean(values):.1f}' + (f' ± {stdev(values):.1f}' if len(values) > 1 else '')


if __name__ == '__main__':
    sys.exit(main())
