"""ONNX files, checked with ONNX Runtime."""

import contextlib
import io
import json
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from poa_mm.export.check import (
    TRACED_BATCH_SIZE,
    Network,
    example_images,
    largest_difference,
)
from poa_mm.export.job import Job, Written
from poa_mm.export.network import describe_outputs, traceable

TOLERANCE = 1e-4  # for the outputs, in float32
LARGEST = 2**31  # bytes of a protobuf message
LOAD = """\
import numpy as np
import onnxruntime

session = onnxruntime.InferenceSession({name!r})
images = np.random.rand(1, {shape}).astype(np.float32)  # prepared as above
features, feature_map = session.run(None, {{'images': images}})"""


def write_onnx(job: Job, path: Path) -> Written:
    """Write one file for images of a fixed size and batches of any size.

    Raises:
        ValueError: The network is too large for the format, or its outputs differ in ONNX Runtime.
    """
    net = job.network().float()
    size = sum(tensor.nbytes for tensor in net.state_dict().values())
    if size >= LARGEST:
        raise ValueError(
            f'an ONNX file holds less than 2 GiB, these weights take {size / 2**30:.1f} GiB; '
            'choose a smaller sub-network or another format'
        )
    images = example_images(TRACED_BATCH_SIZE, job.input_shape)
    with _quiet():
        program = torch.onnx.export(
            traceable(net, images),
            (images,),
            dynamo=True,
            verbose=False,
            input_names=['images'],
            output_names=['features', 'feature_map'],
            dynamic_shapes=({0: torch.export.Dim('batch')},),
        )
    assert program is not None  # with dynamo
    program.model.metadata_props['poa_mm'] = json.dumps(job.about)
    program.save(path, external_data=False)
    return Written(
        outputs=describe_outputs(net, images),
        snippet=LOAD.format(name=path.name, shape=', '.join(map(str, job.input_shape))),
        difference=largest_difference(_session(path), net, job.input_shape, TOLERANCE),
        tolerance=TOLERANCE,
    )


def _session(path: Path) -> Network:
    """Open the file as a function from images to its outputs."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=['CPUExecutionProvider'])

    def run(images: Tensor) -> list[Tensor]:
        outputs = session.run(None, {'images': images.numpy()})
        return [torch.from_numpy(output) for output in outputs]

    return run


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Hide the exporter's progress and advice; errors are still raised."""
    previous = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter('ignore')
            yield
    finally:
        logging.disable(previous)
