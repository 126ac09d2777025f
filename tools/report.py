#!/usr/bin/env python
"""Write one HTML page about a checkpoint: sizes, accuracies, curves, cost, neighbours."""

import argparse
import sys
from pathlib import Path

from poa_mm import cli
from poa_mm.files import check_file, check_folder, check_free


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, usage='%(prog)s CHECKPOINT [options]')
    add = parser.add_argument
    add('checkpoint', type=Path, help='training checkpoint')
    add('--out', type=Path, help='page (default: report_CHECKPOINT.html beside the checkpoint)')
    add(
        '--data', type=Path, metavar='DIR', help='images, for neighbours; train/ and val/: for k-NN'
    )
    add('--results', type=Path, nargs='+', default=[], metavar='JSONL', help='of tools/eval_knn.py')
    add('--profile', type=Path, metavar='CSV', help='of tools/profile_subnets.py, for latencies')
    add('--run', type=Path, metavar='DIR', help="work dir (default: the checkpoint's folder)")
    add('--pictures', type=Path, nargs='+', default=[], metavar='FILE', help='to show, or folders')
    add('--embeddings', type=Path, metavar='PARQUET', help='write features for embedding-atlas')
    add('--workers', type=int, default=2, help='processes that read images')
    cli.add_device(parser)
    cli.add_overwrite(parser)
    cli.add_traceback(parser)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Write."""
    return cli.run(report, parse_args(argv))


def report(args: argparse.Namespace) -> None:
    """Check the arguments, write the page, say where it is."""
    check_file(args.checkpoint, 'checkpoint')
    args.out = args.out or cli.beside(args.checkpoint, 'report', '.html')
    if args.data is not None:
        check_folder(args.data)
    if args.run is not None and not args.run.is_dir():
        raise FileNotFoundError(f'there is no work dir {args.run}')
    for table in args.results:
        check_file(table, 'file of results')
    if args.profile is not None:
        check_file(args.profile, 'CSV file')
    if args.embeddings is not None:
        if args.embeddings.suffix != '.parquet':
            raise ValueError(f'--embeddings must end in .parquet, got {args.embeddings}')
        if args.data is None:
            raise ValueError('--embeddings needs --data, a folder of images')
    for path in filter(None, (args.out, args.embeddings)):
        check_free(path, args.overwrite)
    from poa_mm.report.embeddings import atlas_command
    from poa_mm.report.write import Sources, write_report

    sources = Sources(
        data=args.data,
        results=args.results,
        profile=args.profile,
        run=args.run,
        pictures=args.pictures,
        embeddings=args.embeddings,
        device=args.device or cli.default_device(),
        workers=args.workers,
    )
    write_report(args.checkpoint, args.out, sources, args.overwrite)
    print(f'page: {args.out} ({args.out.stat().st_size / 1e6:.1f} MB), open it in a browser')
    if args.embeddings is not None:
        print(f'embeddings: {args.embeddings}, open them with {atlas_command(args.embeddings)}')


if __name__ == '__main__':
    sys.exit(main())
