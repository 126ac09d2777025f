"""Shared by the tests of distributed code, of training and of the tools."""

import contextlib
import copy
import functools
import importlib.util
import multiprocessing
import os
import socket
import sys
import tempfile
from pathlib import Path

import torch
import torch.distributed as torch_dist
import torch.multiprocessing as mp
from mmengine.config import Config

from poa_mm.engine.gloo import init_gloo

ROOT = Path(__file__).parents[1]
CONFIG = ROOT / 'configs' / 'pretrain' / 'poa_vit-tiny_photos.py'

# What takes seconds to import; the rest follows in each rank.
IMPORTED_ONCE = ['poa_mm', 'torchvision', 'mmpretrain.models', 'mmdet.models', 'poa_mm.models']

HEADS = (24, 40)  # prototypes of the heads of a tiny POA
VIT = {
    'type': 'ElasticVisionTransformer',
    'arch': {'embed_dims': 32, 'num_layers': 3, 'num_heads': 4, 'feedforward_channels': 64},
    'widths': [16, 24, 32],
    'depths': [2, 3],
    'img_size': 16,
    'patch_size': 8,
    'layer_scale_init_value': 0.5,
}


def poa_config(**changes):
    """A POA that trains in milliseconds."""
    head = {
        'type': 'MultiProjectionHead',
        'num_prototypes': HEADS,
        'hidden': 32,
        'bottleneck': 16,
    }
    return {'type': 'POA', 'backbone': dict(VIT), 'head': head, **changes}


def load_config(path):
    """The config in a file below ``configs/``, read once in a session; each call gets its own."""
    return copy.deepcopy(_read_config(path))


@functools.cache
def _read_config(path):
    return Config.fromfile(ROOT / 'configs' / path)


def load_tool(name, folder='tools'):
    """Module of ``tools/<name>.py``, or of a script in another folder."""
    spec = importlib.util.spec_from_file_location(name, ROOT / folder / f'{name}.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def install_metadata(folder, package, group, *entries):
    """Write what the installation of a package with entry points leaves in ``folder``."""
    info = folder / f'{package.replace("-", "_")}-1.0.dist-info'
    info.mkdir()
    (info / 'METADATA').write_text(f'Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n')
    (info / 'entry_points.txt').write_text('\n'.join([f'[{group}]', *entries, '']))


def run_distributed(fn, world_size, *args):
    """What ``fn(rank, *args)`` returns in each of ``world_size`` processes joined by gloo.

    ``fn`` must be a function of a module, and what it returns must be small data or tensors.
    """
    with tempfile.TemporaryDirectory() as folder:
        start_ranks(_run_rank, world_size, world_size, folder, fn, args)
        paths = [_result_path(folder, rank) for rank in range(world_size)]
        return [torch.load(path, weights_only=True) for path in paths]


def start_ranks(fn, world_size, *args):
    """Call ``fn(rank, *args)`` in ``world_size`` new processes, and wait until all have ended.

    One process imports what the tests need, once in a session; the ranks are forked off it. So
    each is as new as one that is started, without paying for the imports again.
    """
    multiprocessing.set_forkserver_preload(IMPORTED_ONCE)
    mp.start_processes(fn, args, nprocs=world_size, start_method='forkserver')


def run_tool_on_ranks(name, world_size, *args):
    """Run a tool in ``world_size`` processes as torchrun does; what they print."""
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        start_ranks(_run_tool, world_size, world_size, port, folder, name, args)
        return ''.join(path.read_text() for path in sorted(Path(folder).iterdir()))


def _run_tool(rank, world_size, port, folder, name, args):
    torch.set_num_threads(1)
    names = ('RANK', 'LOCAL_RANK', 'WORLD_SIZE', 'MASTER_ADDR', 'MASTER_PORT')
    values = (rank, rank, world_size, '127.0.0.1', port)
    os.environ.update({name: str(value) for name, value in zip(names, values, strict=True)})
    os.environ['CUDA_VISIBLE_DEVICES'] = ''
    sys.argv = [f'{name}.py', *map(str, args), '--launcher', 'pytorch']
    with Path(folder, str(rank)).open('w') as file, contextlib.redirect_stdout(file):
        load_tool(name).main()
    torch_dist.destroy_process_group()


def _run_rank(rank, world_size, folder, fn, args):
    torch.set_num_threads(1)
    init_gloo(init_method=f'file://{folder}/rendezvous', rank=rank, world_size=world_size)
    try:
        torch.save(fn(rank, *args), _result_path(folder, rank))
    finally:
        torch_dist.destroy_process_group()


def _result_path(folder, rank):
    return Path(folder) / f'rank{rank}.pth'
