"""Tests of poa_mm.engine.gloo."""

import subprocess
import sys

# One process imports torch, and forks two ranks a start, which end as any Python does. DDP keeps
# the group alive; a thread that asks for the interpreter waits long for it.
SCRIPT = """
import os, sys, tempfile
import torch
import torch._dynamo  # DDP does, in each rank
from torch import nn
from torch.distributed import all_reduce
from poa_mm.engine.gloo import init_gloo

STARTS = 4  # without the pause about one start of three aborts


def run(rank, folder):
    init_gloo(init_method=f'file://{folder}/rendezvous', rank=rank, world_size=2)
    sys.setswitchinterval(100)
    model = nn.parallel.DistributedDataParallel(nn.Linear(2, 2))
    tensors = [torch.ones(3) for _ in range(50)]
    for tensor in tensors:
        all_reduce(tensor)
    assert all(tensor.tolist() == [2, 2, 2] for tensor in tensors)


for start in range(STARTS):
    folder = tempfile.mkdtemp(dir=sys.argv[1])
    ranks = {}
    for rank in range(2):
        process = os.fork()
        if process == 0:
            run(rank, folder)
            sys.exit()
        ranks[process] = rank
    for _ in range(2):
        process, status = os.wait()
        assert os.waitstatus_to_exitcode(status) == 0, (start, ranks[process], status)
"""


def test_a_process_that_ends_right_after_a_collective_ends_well(tmp_path):
    command = [sys.executable, '-c', SCRIPT, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
