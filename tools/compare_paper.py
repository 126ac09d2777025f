"""Print the paper's tables with the numbers of your own runs beside them."""

import argparse
import sys
from pathlib import Path

from poa_mm import cli
from poa_mm.files import check_file, check_free

PAPER = Path(__file__).resolve().parents[1] / 'results' / 'paper.yaml'


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add('results', type=Path, nargs='*', help='files of results (*.jsonl) that the tools wrote')
    add('--table', nargs='+', metavar='NUMBER', help='only these tables, such as 1c 13')
    add('--markdown', type=Path, metavar='FILE', help='also write the tables to this file')
    cli.add_overwrite(parser)
    cli.add_traceback(parser)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Compare."""
    return cli.run(show, parse_args(argv))


def show(args: argparse.Namespace) -> None:
    """Print the tables, and write them if asked to."""
    for path in args.results:
        check_file(path, 'file of results')
    if args.markdown:
        check_free(args.markdown, args.overwrite)
    from rich.console import Console
    from rich.table import Table

    from poa_mm.evaluation import compare, read_paper, read_results

    tables = read_paper(PAPER)
    numbers = [table.number for table in tables]
    unknown = [number for number in args.table or () if number not in numbers]
    if unknown:
        raise ValueError(f'there is no table {unknown[0]!r}; valid: {", ".join(numbers)}')
    chosen = [table for table in tables if not args.table or table.number in args.table]
    comparisons = compare(chosen, read_results(*args.results))
    console = Console()
    for comparison in comparisons:
        table = comparison.table
        shown = Table('', *table.columns, title=f'Table {table.number}: {table.title}')
        shown.caption = 'paper / ours / difference' + (f'\n{table.note}' if table.note else '')
        for row in comparison.texts():
            shown.add_row(*row)
        console.print(shown)
    if args.markdown:
        parts = ['# The paper and our runs\n\nPaper / ours / difference.\n']
        parts += [comparison.markdown() for comparison in comparisons]
        args.markdown.parent.mkdir(parents=True, exist_ok=True)
        args.markdown.write_text('\n'.join(parts), encoding='utf-8')
        console.print(f'written to {args.markdown}', soft_wrap=True)


if __name__ == '__main__':
    sys.exit(main())
