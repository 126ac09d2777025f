"""Memory of a POA step with and without what saves it, once each way in a process of its own.

    python benchmarks/step_memory.py heads      # prototype losses in chunks, or all logits at once
    python benchmarks/step_memory.py students   # the intact student's backward pass early, or not

All loss terms are on. ``heads`` runs the paper's four heads (122,880 prototypes) on a backbone that
is too small to matter, ``students`` a supernet of ViT-S's size under heads that are.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

import poa_mm  # noqa: F401  # registers the package's classes
from poa_mm.models.losses import chunks
from poa_mm.models.selfsup import poa
from poa_mm.registry import MODELS

GIB = 2**30


def model_config(what: str) -> dict[str, Any]:
    """POA with large heads, or with a large backbone."""
    width, depth, mlp = (64, 2, 64) if what == 'heads' else (384, 12, 1536)
    arch = {'embed_dims': width, 'num_layers': depth, 'num_heads': 6, 'feedforward_channels': mlp}
    if what == 'heads':
        arch['num_heads'] = 4
    backbone = {
        'type': 'ElasticVisionTransformer',
        'arch': arch,
        'widths': [width // 2, width],
        'depths': [depth - 1, depth],
        'img_size': 224,
        'layer_scale_init_value': 1e-5,
    }
    head: dict[str, Any] = {'type': 'MultiProjectionHead', 'hidden': 64}
    if what == 'students':
        head['num_prototypes'] = [256]
    return {'type': 'POA', 'backbone': backbone, 'head': head}


def measure(what: str, batch: int, plain: bool, out: Path) -> None:
    """One step; its peak of memory over that before it, its time and its gradients."""
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    if plain and what == 'heads':
        chunks.MAX_LOGITS = 2**62
    if plain and what == 'students':
        poa.backward_now = lambda loss, _: loss
    torch.manual_seed(0)
    model = MODELS.build(model_config(what)).to(device)
    crops = torch.randn(2 * batch, 3, 224, 224, device=device)
    local_crops = torch.randn(8 * batch, 3, 96, 96, device=device)
    masks = model.block_masks(2 * batch, (14, 14), step=0)
    subnet = model.backbone.space.candidates[-1]  # the largest that may be drawn
    before, start = _peak(), time.perf_counter()
    total = model.losses(crops, local_crops, masks, subnet)['total']
    total.backward()
    gradients = {n: p.grad.cpu() for n, p in model.named_parameters() if p.grad is not None}
    seconds = time.perf_counter() - start
    tokens = 2 * batch * 3 + 8 * batch * 2 + 3 * int(masks.sum())
    result = {'peak': _peak() - before, 'seconds': seconds, 'loss': total.item(), 'tokens': tokens}
    torch.save({**result, 'gradients': gradients}, out)


def main() -> None:
    """Measure both ways and print them side by side."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('what', choices=['heads', 'students'])
    parser.add_argument('--batch-size', type=int, default=8, help='images')
    parser.add_argument('--run', choices=['plain', 'saving'], help=argparse.SUPPRESS)
    parser.add_argument('--out', type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.run:
        measure(args.what, args.batch_size, args.run == 'plain', args.out)
        return
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        for way in ('plain', 'saving'):
            out = Path(folder) / way
            command = [sys.executable, __file__, args.what, '--run', way, '--out', str(out)]
            subprocess.run([*command, '--batch-size', str(args.batch_size)], check=True)
            results[way] = torch.load(out, weights_only=True)
    _report(results, args)


def _report(results: dict[str, dict[str, Any]], args: argparse.Namespace) -> None:
    plain, saving = results['plain'], results['saving']
    difference = max(
        ((a - b).abs().max() / a.abs().max().clamp(min=1e-30)).item()
        for a, b in zip(plain['gradients'].values(), saving['gradients'].values(), strict=True)
    )
    table = Table(title=f'{args.what}: {args.batch_size} images, {plain["tokens"]} tokens, float32')
    for column in ('', 'peak of the step', 'seconds', 'loss'):
        table.add_column(column, justify='right')
    for way, row in results.items():
        peak = f'{row["peak"] / GIB:.2f} GiB'
        table.add_row(way, peak, f'{row["seconds"]:.1f}', f'{row["loss"]:.6f}')
    ratio = (plain['peak'] / saving['peak'], plain['seconds'] / saving['seconds'])
    table.add_row('plain / saving', f'{ratio[0]:.1f}×', f'{ratio[1]:.2f}×', '')
    console = Console()
    console.print(table)
    if args.what == 'heads':
        logits = plain['tokens'] * (8192 + 16384 + 32768 + 65536) * 4 / GIB
        console.print(f'all logits of these tokens would take {logits:.2f} GiB')
    console.print(f'largest relative difference of a gradient: {difference:.1e}', soft_wrap=True)


def _peak() -> int:
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == '__main__':
    main()
