"""What pre-training costs: FLOPs, GPU hours and memory, predicted and measured (Table 20)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from mmengine.config import Config
from rich import box
from rich.table import Table
from torch import nn

from poa_mm.models.selfsup import SelfDistillation
from poa_mm.selection.step_cost import Batch, batch_of, expected_step_cost, model_on_meta
from poa_mm.selection.step_time import StepTime, step_time

__all__ = ['Assumptions', 'CostRow', 'Measurement', 'cost_rows', 'cost_table', 'peak_flops']

# Dense 16-bit tensor operations a second, from NVIDIA's data sheets of the V100 SXM2 (fp16), the
# A100, the H100 SXM and the H200 SXM (bf16; those of the last two print twice as much, for sparse
# matrices).
GPUS = {'v100': 125e12, 'a100': 312e12, 'h100': 989e12, 'h200': 989e12}
# Bytes of a student's parameter with AdamW's two averages, and of the teacher's copy, in float32.
STUDENT_BYTES, TEACHER_BYTES = 12, 4
WITHOUT = 'elastic_student=False'
GIB = 2**30


@dataclass(frozen=True)
class Assumptions:
    """What hours follow from, beside FLOPs.

    Args:
        gpu: Name of the GPU, for the table.
        peak: Its peak, in FLOPs a second.
        share: Share of the peak that training reaches.
    """

    gpu: str
    peak: float
    share: float

    def hours(self, flops: float) -> float:
        """Return the GPU hours of so many FLOPs."""
        return flops / (self.peak * self.share) / 3600


class Measurement(NamedTuple):
    """How steps are measured.

    Attributes:
        steps: Steps to time.
        device: Where to run them.
        images: Images of a step; ``None`` for as many as the config has.
    """

    steps: int
    device: str
    images: int | None = None


class _Run(NamedTuple):
    """A run to find the cost of: a config with changes of its model, and what follows from it."""

    name: str
    cfg: Config
    changes: dict[str, Any]
    batch: Batch
    model: SelfDistillation


def peak_flops(gpu: str) -> float:
    """Return the peak of a GPU in FLOPs a second.

    Args:
        gpu: Its name, or the peak itself in 10¹² FLOPs a second.

    Raises:
        ValueError: Unknown name, or a number that is not positive.

    Example:
        >>> peak_flops('a100'), peak_flops('121.5')
        (312000000000000.0, 121500000000000.0)
    """
    try:
        peak = GPUS[gpu.lower()] if gpu.lower() in GPUS else float(gpu) * 1e12
    except ValueError:
        peak = 0.0
    if not 0 < peak < float('inf'):
        raise ValueError(f'gpu must be {", ".join(GPUS)} or its peak in TFLOP/s, got {gpu!r}')
    return peak


@dataclass(frozen=True)
class CostRow:
    """Cost of one run of pre-training.

    Args:
        name: Of its config.
        variant: What differs from the config, or ''.
        networks: Number of networks that the run gives.
        images: Images of the whole run, of which a step sees several crops each.
        batch_size: Images of a step on one GPU.
        flops: FLOPs for one image; see :func:`~poa_mm.selection.step_cost.step_cost`.
        hours: GPU hours, predicted.
        memory: Lower bound of a GPU's memory in bytes: weights, averages of AdamW, and activations,
            in 16 bits if the run uses them, without what allocator and kernels add.
        assumed: What the hours follow from.
        measured: Real steps on this machine, if any were made.
    """

    name: str
    variant: str
    networks: int
    images: int
    batch_size: int
    flops: float
    hours: float
    memory: float
    assumed: Assumptions
    measured: StepTime | None = None

    def cells(self) -> dict[str, object]:
        """Return the cells of a CSV file by column; measured ones only if there are any."""
        cells: dict[str, object] = {
            'config': self.name,
            'variant': self.variant,
            'networks': self.networks,
            'images': self.images,
            'batch_size': self.batch_size,
            'flops_per_image': round(self.flops),
            'gpu_hours': f'{self.hours:.5g}',
            'memory_bytes': round(self.memory),
            'gpu': self.assumed.gpu,
            'share_of_peak': self.assumed.share,
        }
        if self.measured is not None:
            cells |= {f'measured_{key}': value for key, value in self.measured.cells().items()}
            cells['measured_gpu_hours'] = f'{self.measured_hours:.5g}'
            cells['measured_flops_per_second'] = f'{self.flops * self.measured.rate:.5g}'
        return cells

    @property
    def measured_hours(self) -> float:
        """Hours of the whole run at the measured speed, on one such device."""
        return 0.0 if self.measured is None else self.images / self.measured.rate / 3600


def cost_rows(
    configs: Sequence[tuple[str, Config]],
    assumed: Assumptions,
    measure: Measurement | None = None,
) -> Iterator[CostRow]:
    """Find the costs of runs; yield each row as it is finished.

    A run of POA has a second row, of the same run without an elastic student.

    Args:
        configs: Names and configs of pre-training runs.
        assumed: What hours follow from.
        measure: How to measure steps; ``None`` measures none.

    Raises:
        ValueError: A config that does not train by POA or a variant; before anything is counted.
    """
    runs = []
    for name, cfg in configs:
        model = model_on_meta(cfg)
        runs.append(_Run(name, cfg, {}, batch_of(cfg), model))
        if cfg.model.type == 'POA' and model.sampler is not None:
            alone = {'elastic_student': False}
            runs.append(_Run(name, cfg, alone, batch_of(cfg), model_on_meta(cfg, **alone)))
    for run in runs:
        yield _row(run, assumed, measure)


def _row(run: _Run, assumed: Assumptions, measure: Measurement | None) -> CostRow:
    cost = expected_step_cost(run.model, run.batch)
    images = _images(run.cfg, run.batch)
    half = run.cfg.optim_wrapper.get('dtype') in ('bfloat16', 'float16')
    weights = STUDENT_BYTES * (_size(run.model.backbone) + _size(run.model.head))
    weights += TEACHER_BYTES * _size(run.model.teacher)
    measured = None
    if measure is not None:
        batch = run.batch._replace(images=measure.images or run.batch.images)
        measured = step_time(run.cfg, run.changes, batch, measure.steps, measure.device)
    return CostRow(
        name=run.name,
        variant=WITHOUT if run.changes else '',
        networks=1 if run.model.sampler is None else len(run.model.backbone.space),
        images=images,
        batch_size=run.batch.images,
        flops=cost.flops,
        hours=assumed.hours(cost.flops * images),
        memory=weights + cost.activation_bytes / (2 if half else 1),
        assumed=assumed,
        measured=measured,
    )


def _images(cfg: Config, batch: Batch) -> int:
    """Count the images of a whole run: iterations times the batch of all GPUs.

    A step may accumulate several iterations, and its batch is that of all of them.
    """
    accumulated = cfg.optim_wrapper.get('accumulative_counts', 1)
    of_step = cfg.get('auto_scale_lr', {}).get('base_batch_size', batch.images * accumulated)
    return cfg.train_cfg.max_iters * of_step // accumulated


def _size(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def cost_table(rows: Sequence[CostRow]) -> Table:
    """Make a table for the screen."""
    assumed = rows[0].assumed
    table = Table(title='Cost of pre-training', box=box.SIMPLE, padding=0)
    table.caption = (
        f'GPU h: {assumed.share:.0%} of the {assumed.peak / 1e12:g} TFLOP/s of {assumed.gpu}; '
        'GiB: without what allocator and kernels add'
    )
    measured = rows[0].measured
    if measured is not None:
        table.caption += f'; here: {measured.device}, {measured.batch_size} images a step'
    table.add_column('run', no_wrap=True)
    for column in _texts(rows[0]):
        table.add_column(column, justify='right')
    for row in rows:
        table.add_row(f'… {row.variant}' if row.variant else row.name, *_texts(row).values())
    alone = [row for row in rows if row.networks == 1 and not row.variant]
    if len(alone) > 1:
        table.add_section()
        hours = _figure(sum(row.hours for row in alone))
        table.add_row('each network alone', str(len(alone)), '', '', hours)
    return table


def _texts(row: CostRow) -> dict[str, str]:
    """Return the cells of a row for the screen, by column."""
    texts = {
        'nets': str(row.networks),
        'M\nimages': _figure(row.images / 1e6),
        'GFLOP\n/ image': _figure(row.flops / 1e9),
        'GPU\nhours': _figure(row.hours),
        'GiB ≥': _figure(row.memory / GIB),
    }
    if row.measured is not None:
        texts['here\ns/step'] = _figure(row.measured.seconds)
        texts['here\nhours'] = _figure(row.measured_hours)
        if row.measured.peak_bytes is not None:
            texts['here\nGiB'] = _figure(row.measured.peak_bytes / GIB)
    return texts


def _figure(number: float) -> str:
    """Format a positive number with three digits, or all before the point.

    Example:
        >>> _figure(1669.1), _figure(31.96), _figure(0.0001205)
        ('1669', '32', '<0.01')
    """
    if number < 0.01:
        return '<0.01'
    if number < 1:
        return f'{number:.2f}'
    return f'{number:.0f}' if number >= 1000 else f'{number:.3g}'
