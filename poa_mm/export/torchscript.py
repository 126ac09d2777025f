"""TorchScript files, which need only PyTorch, in Python or C++."""

import json
import warnings
from pathlib import Path

import torch

from poa_mm.export.check import TRACED_BATCH_SIZE, example_images, largest_difference
from poa_mm.export.job import Job, Written
from poa_mm.export.network import describe_outputs, traceable

TOLERANCE = 1e-5  # for the outputs, in float32
LOAD = """\
import torch

net = torch.jit.load({name!r})
images = torch.rand(1, {shape})  # prepared as above
features, feature_map = net(images)"""


def write_torchscript(job: Job, path: Path) -> Written:
    """Trace a network for images of a fixed size and batches of any size.

    Raises:
        ValueError: The outputs of the trace differ.
    """
    net = job.network().float().requires_grad_(False)
    images = example_images(TRACED_BATCH_SIZE, job.input_shape)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # sizes become constants; tracing is deprecated
        traced = torch.jit.trace(traceable(net, images), images, check_trace=False)
        torch.jit.save(traced, path, _extra_files={'poa_mm.json': json.dumps(job.about)})
        opened = torch.jit.load(path)
    return Written(
        outputs=describe_outputs(net, images),
        snippet=LOAD.format(name=path.name, shape=', '.join(map(str, job.input_shape))),
        difference=largest_difference(opened, net, job.input_shape, TOLERANCE),
        tolerance=TOLERANCE,
    )
