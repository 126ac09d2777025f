"""Tests of poa_mm.engine.gloo."""

import os
import socket
import subprocess
import sys

import pytest

# DDP keeps the group alive; a thread that asks for the interpreter waits long for it.
SCRIPT = """
import sys
import torch
from torch import nn
from torch.distributed import all_reduce
from poa_mm.engine.gloo import init_gloo

init_gloo()
sys.setswitchinterval(100)
model = nn.parallel.DistributedDataParallel(nn.Linear(2, 2))
tensors = [torch.ones(3) for _ in range(50)]
for tensor in tensors:
    all_reduce(tensor)
assert all(tensor.tolist() == [2, 2, 2] for tensor in tensors)
"""
STARTS = 4  # without the pause about one start of three aborts


def start(rank, port):
    env = {'MASTER_ADDR': '127.0.0.1', 'MASTER_PORT': str(port), 'RANK': str(rank)}
    env |= {'WORLD_SIZE': '2', 'CUDA_VISIBLE_DEVICES': ''}
    return subprocess.Popen(
        [sys.executable, '-c', SCRIPT], env={**os.environ, **env}, stderr=subprocess.PIPE, text=True
    )


def free_port():
    with socket.socket() as server:
        server.bind(('127.0.0.1', 0))
        return server.getsockname()[1]


@pytest.mark.slow
def test_a_process_that_ends_right_after_a_collective_ends_well():
    for _ in range(STARTS):
        port = free_port()
        for process in [start(rank, port) for rank in range(2)]:
            _, errors = process.communicate()
            assert process.returncode == 0, errors
