"""Functions and tools in several processes that are joined by gloo."""

import contextlib
import multiprocessing
import os
import socket
import sys
import tempfile
from pathlib import Path

import torch
import torch.distributed as torch_dist
import torch.multiprocessing as mp
from helpers import load_tool

from poa_mm.engine.gloo import init_gloo

# What takes seconds to import; the rest follows in each rank.
IMPORTED_ONCE = ['poa_mm', 'torchvision', 'mmpretrain.models', 'mmdet.models', 'poa_mm.models']
IMPORTED_ONCE += ['mmdet.datasets', 'mmseg.datasets']


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


def exit_code_of(fn, *args):
    """Call ``fn(*args)``, a function of a module, in a new process; how that ended.

    Not in a fork of this one: once the engine of autograd has run, it works in no fork.
    """
    multiprocessing.set_forkserver_preload(IMPORTED_ONCE)
    process = multiprocessing.get_context('forkserver').Process(target=fn, args=args)
    process.start()
    process.join()
    return process.exitcode


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
        assert not load_tool(name).main()
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
