"""Memory of the prototype losses: in chunks with recomputation, against all logits at once.

    python benchmarks/head_memory.py

Runs a whole POA step, all terms on, with the paper's four heads (122,880 prototypes) on a backbone
that is too small to matter, once each way in a process of its own, and compares the gradients.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

import poa_mm  # noqa: F401  # registers the package's classes
from poa_mm.models.losses import chunks
from poa_mm.registry import MODELS

GIB = 2**30
MODEL = {
    'type': 'POA',
    'backbone': {
        'type': 'ElasticVisionTransformer',
        'arch': {
            'embed_dims': 64,
            'num_layers': 2,
            'num_heads': 4,
            'feedforward_channels': 64,
        },
        'widths': [32, 64],
        'depths': [1, 2],
        'img_size': 224,
    },
    'head': {'type': 'MultiProjectionHead', 'hidden': 64},
}


def measure(batch: int, chunked: bool, out: Path) -> None:
    """One step; its peak of memory over that before it, its time and its gradients."""
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    if not chunked:
        chunks.MAX_LOGITS = 2**62
    torch.manual_seed(0)
    model = MODELS.build(MODEL).to(device)
    crops = torch.randn(2 * batch, 3, 224, 224, device=device)
    local_crops = torch.randn(8 * batch, 3, 96, 96, device=device)
    masks = model.block_masks(2 * batch, (14, 14), step=0)
    before, start = _peak(), time.perf_counter()
    total = model.losses(crops, local_crops, masks, subnet='w32-d1')['total']
    total.backward()
    gradients = {n: p.grad.cpu() for n, p in model.named_parameters() if p.grad is not None}
    seconds = time.perf_counter() - start
    tokens = 2 * batch * 3 + 8 * batch * 2 + 3 * int(masks.sum())
    result = {'peak': _peak() - before, 'seconds': seconds, 'loss': total.item(), 'tokens': tokens}
    torch.save({**result, 'gradients': gradients}, out)


def main() -> None:
    """Measure both ways and print them side by side."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--batch-size', type=int, default=8, help='images')
    parser.add_argument('--run', choices=['chunked', 'plain'], help=argparse.SUPPRESS)
    parser.add_argument('--out', type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.run:
        measure(args.batch_size, args.run == 'chunked', args.out)
        return
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        for way in ('plain', 'chunked'):
            out = Path(folder) / way
            command = [sys.executable, __file__, '--run', way, '--out', str(out)]
            subprocess.run([*command, '--batch-size', str(args.batch_size)], check=True)
            results[way] = torch.load(out, weights_only=True)
    _report(results)


def _report(results: dict[str, dict]) -> None:
    plain, chunked = results['plain'], results['chunked']
    difference = max(
        ((a - b).abs().max() / a.abs().max()).item()
        for a, b in zip(plain['gradients'].values(), chunked['gradients'].values(), strict=True)
    )
    prototypes = sum((8192, 16384, 32768, 65536))
    table = Table(title=f'{plain["tokens"]} tokens × {prototypes} prototypes, float32')
    for column in ('', 'peak of the step', 'seconds', 'loss'):
        table.add_column(column, justify='right')
    for way, row in results.items():
        peak = f'{row["peak"] / GIB:.2f} GiB'
        table.add_row(way, peak, f'{row["seconds"]:.1f}', f'{row["loss"]:.6f}')
    ratio = (plain['peak'] / chunked['peak'], plain['seconds'] / chunked['seconds'])
    table.add_row('plain / chunked', f'{ratio[0]:.1f}×', f'{ratio[1]:.2f}×', '')
    console = Console()
    console.print(table)
    console.print(
        f'all logits would take {plain["tokens"] * prototypes * 4 / GIB:.2f} GiB; '
        f'largest relative difference of a gradient: {difference:.1e}'
    )


def _peak() -> int:
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == '__main__':
    main()
