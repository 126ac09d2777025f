#!/usr/bin/env python
"""Peak memory and time of k-NN beyond the features themselves.

python benchmarks/knn_memory.py --train 1281167 --dim 384 --test 512 --dtype float16
"""

import argparse
import resource
import time

import torch
from rich.console import Console
from rich.table import Table

from poa_mm.evaluation import knn_predict


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--train', type=int, default=1_281_167, help='training features')
    parser.add_argument('--dim', type=int, default=384)
    parser.add_argument('--test', type=int, default=512, help='test features')
    parser.add_argument('--dtype', default='float32', choices=('float32', 'float16', 'bfloat16'))
    parser.add_argument('--k', type=int, default=200)
    return parser.parse_args()


def peak() -> int:
    """Return the peak of resident memory so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    """Print a table with one row."""
    args = parse_args()
    knn_predict(torch.randn(9, 4), torch.zeros(9, dtype=torch.int64), torch.randn(9, 4), (1,))
    dtype = getattr(torch, args.dtype)
    train = torch.empty(args.train, args.dim, dtype=dtype)
    for part in train.split(10_000):
        part.copy_(torch.randn(part.shape))
    labels = torch.randint(1000, (args.train,))
    test = torch.randn(args.test, args.dim)
    before, start = peak(), time.process_time()
    knn_predict(train, labels, test, (args.k,))
    seconds = time.process_time() - start
    table = Table('bank', 'test', 'bank (GiB)', 'added (GiB)', 'CPU s', 'CPU s / 1000 test')
    table.add_row(
        f'{args.train:,} × {args.dim} {args.dtype}',
        f'{args.test:,}',
        f'{train.nbytes / 2**30:.2f}',
        f'{(peak() - before) / 2**30:.3f}',
        f'{seconds:.1f}',
        f'{1000 * seconds / args.test:.1f}',
    )
    Console(width=120).print(table)


if __name__ == '__main__':
    main()
