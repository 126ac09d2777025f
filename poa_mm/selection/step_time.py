"""Time and memory of real steps of pre-training, on noise."""

import statistics
import time
from dataclasses import dataclass
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import OPTIMIZERS, DefaultScope
from torch import nn

from poa_mm.models.selfsup import SelfDistillation
from poa_mm.registry import build_model
from poa_mm.selection.step_cost import Batch

__all__ = ['StepTime', 'step_time']

WARMUP = 1  # steps that are not counted: kernels are chosen, the optimiser takes its memory


@dataclass(frozen=True)
class StepTime:
    """Real steps.

    Args:
        seconds: Of a step, the median.
        peak_bytes: Peak memory of a GPU's tensors; ``None`` on other devices, which keep no count.
        batch_size: Images of a step.
        steps: Steps that were timed.
        device: Name of the GPU, or the CPU with its threads.
    """

    seconds: float
    peak_bytes: int | None
    batch_size: int
    steps: int
    device: str

    @property
    def rate(self) -> float:
        """Images a second."""
        return self.batch_size / self.seconds

    def cells(self) -> dict[str, object]:
        """Return the cells of a CSV file by column."""
        return {
            'seconds': f'{self.seconds:.5g}',
            'peak_bytes': '' if self.peak_bytes is None else self.peak_bytes,
            'batch_size': self.batch_size,
            'steps': self.steps,
            'device': self.device,
        }


def step_time(
    cfg: Config, changes: dict[str, Any], batch: Batch, steps: int, device: str
) -> StepTime:
    """Run steps of a config on noise: losses, backward passes, optimiser and teacher's update.

    Reading and cutting images is left out, as it goes on beside a GPU. Masked patches are on. A GPU
    computes in the precision of the config, other devices in float32.

    Args:
        cfg: Config of pre-training.
        changes: Settings of its model to replace.
        batch: What a step sees.
        steps: Steps to time, after a first one that is not.
        device: Where to run them.

    Raises:
        ValueError: No steps, or a batch that is too small.
    """
    if steps < 1:
        raise ValueError(f'the number of steps to measure must be at least 1, got {steps}')
    cuda = torch.device(device).type == 'cuda'
    if cuda:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        model = build_model({**cfg.model, **changes}).to(device)
    assert isinstance(model, SelfDistillation)
    trained = model.trained_parameters()
    optimizer = OPTIMIZERS.build({**cfg.optim_wrapper.optimizer, 'params': trained})
    dtype = getattr(torch, cfg.optim_wrapper.get('dtype') or 'float32')
    half = cuda and dtype != torch.float32  # in float32 elsewhere, as runs are
    clip = (cfg.optim_wrapper.get('clip_grad') or {}).get('max_norm', float('inf'))
    global_crops, local_crops = batch.crops(device)
    views = [*global_crops.split(batch.images), *local_crops.split(batch.images)]
    seconds = []
    for _ in range(WARMUP + steps):
        start = _now(cuda)
        with torch.autocast(torch.device(device).type, dtype, enabled=half):
            loss = model.loss(views)['loss']
        loss.backward()
        nn.utils.clip_grad_norm_(trained, clip)
        optimizer.step()
        optimizer.zero_grad()
        model.update_teacher(momentum=0.99)
        seconds.append(_now(cuda) - start)
    return StepTime(
        seconds=statistics.median(seconds[WARMUP:]),
        peak_bytes=torch.cuda.max_memory_allocated(device) if cuda else None,
        batch_size=batch.images,
        steps=steps,
        device=_device_name(device, cuda),
    )


def _now(cuda: bool) -> float:
    if cuda:
        torch.cuda.synchronize()
    return time.perf_counter()


def _device_name(device: str, cuda: bool) -> str:
    if cuda:
        return torch.cuda.get_device_name(device)
    return f'{device.upper()}, {torch.get_num_threads()} threads'
