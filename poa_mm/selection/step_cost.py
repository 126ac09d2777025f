"""FLOPs and memory of a step of pre-training, counted without running it."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from mmengine.config import Config

from poa_mm.checkpoints.build import build_on_meta
from poa_mm.datasets import MultiCrop
from poa_mm.elastic import SearchSpace, Subnet
from poa_mm.models.losses import NUM_GLOBAL
from poa_mm.models.selfsup import SelfDistillation
from poa_mm.registry import MODELS, TRANSFORMS
from poa_mm.selection.cost_trace import FusedAttention, Tracer

__all__ = ['Batch', 'StepCost', 'batch_of', 'expected_step_cost', 'model_on_meta', 'step_cost']

TEACHER_TEMP = 0.07  # costs nothing, but losses need one


class Batch(NamedTuple):
    """What one process sees in a step.

    Attributes:
        images: Number of images B.
        channels: Channels of a crop.
        global_size: Height and width of the two global crops of an image.
        local_size: Height and width of its local crops.
        num_local: Number of local crops of an image.
    """

    images: int
    channels: int
    global_size: tuple[int, int]
    local_size: tuple[int, int]
    num_local: int

    def crops(self, device: torch.device | str) -> tuple[torch.Tensor, torch.Tensor]:
        """Draw noise as global crops (2B, C, G, G) and local crops (V·B, C, L, L)."""
        sizes = (
            (NUM_GLOBAL * self.images, self.channels, *self.global_size),
            (self.num_local * self.images, self.channels, *self.local_size),
        )
        global_crops, local_crops = (torch.randn(size, device=device) for size in sizes)
        return global_crops, local_crops


class StepCost(NamedTuple):
    """Cost of a step.

    Attributes:
        flops: FLOPs for one image, two for a multiply-accumulate, as data sheets of GPUs count.
        activation_bytes: Peak memory of the whole batch's activations in float32.
    """

    flops: float
    activation_bytes: int


def batch_of(cfg: Config) -> Batch:
    """Read from the config of a pre-training run what one process sees in a step.

    Raises:
        ValueError: Its images are not cut by a :class:`~poa_mm.datasets.MultiCrop`.
    """
    pipeline: Sequence[Any] = cfg.train_dataloader.dataset.get('pipeline', [])
    (crop, *_) = [
        *(TRANSFORMS.build(step) for step in pipeline if step['type'] == 'MultiCrop'),
        None,
    ]
    if not isinstance(crop, MultiCrop):
        raise ValueError(f'{cfg.filename} has no MultiCrop in the pipeline of its training images')
    return Batch(
        images=cfg.train_dataloader.batch_size,
        channels=crop.channels,
        global_size=_sides(crop.global_size),
        local_size=_sides(crop.local_size),
        num_local=crop.num_local,
    )


def model_on_meta(cfg: Config, **changes: Any) -> SelfDistillation:
    """Build the algorithm of a config without memory for weights, in training mode.

    Raises:
        ValueError: It does not pre-train.
    """
    # Before it is built: SEED would open its teacher first.
    named = cfg.get('model', {}).get('type')
    kind = MODELS.get(named) if isinstance(named, str) else named
    if not isinstance(kind, type) or not issubclass(kind, SelfDistillation):
        raise ValueError(f'{cfg.filename} trains {named or "nothing"}, not POA or a variant of it')
    model = build_on_meta({**cfg.model, **changes})
    assert isinstance(model, SelfDistillation)
    return model.train()


def step_cost(
    model: SelfDistillation, batch: Batch, subnet: Subnet | str | None = None
) -> StepCost:
    """Count a step: all forward and backward passes of the networks, the heads and the losses.

    It is the step itself that is traced, on the meta device. So it has what the code really
    computes: the teachers' global crops, all crops of the students, of which drop path leaves out
    a share, masked patches, logits that are computed twice, and those of Sinkhorn-Knopp. Matrix
    products, convolutions and attention count; what is linear in the weights (the optimiser, the
    teacher's average) does not.

    Args:
        model: From :func:`model_on_meta`.
        batch: What the step sees.
        subnet: The sub-network that trains; ``None`` if the algorithm draws none.
    """
    masks = None
    if model.ibot_weight:
        grid = model.backbone.mask_grid(*batch.global_size)
        masks = model.block_masks(NUM_GLOBAL * batch.images, grid, step=0)
    global_crops, local_crops = batch.crops('meta')
    with FusedAttention(), Tracer(model) as tracer:
        terms = model.losses(global_crops, local_crops, masks, subnet, TEACHER_TEMP)
        terms.pop('total').backward()
    model.zero_grad()
    return StepCost(tracer.flops / batch.images, tracer.peak)


def expected_step_cost(model: SelfDistillation, batch: Batch) -> StepCost:
    """Count a step in expectation over the sub-network that is drawn, and at its peak.

    The model's sampler draws it (Eq. 14). A block more costs the same wherever it is, and a layer
    is elastic on one side or on both. So costs are linear in the depth and quadratic in the width,
    and those of all sub-networks follow from a few. That is exact but for drop path that rises over
    the blocks (Swin).

    Args:
        model: From :func:`model_on_meta`.
        batch: What a step sees.
    """
    if model.sampler is None:
        return step_cost(model, batch)
    space, shares = model.backbone.space, model.sampler.probabilities()
    traced = traced_subnets(list(shares), space)
    costs = [step_cost(model, batch, subnet) for subnet in traced]
    features = np.stack([_features(subnet, space) for subnet in traced])
    law = np.linalg.lstsq(features, [cost.flops for cost in costs], rcond=None)[0]
    mean = sum(share * _features(subnet, space) for subnet, share in shares.items())
    return StepCost(float(law @ mean), max(cost.activation_bytes for cost in costs))


def traced_subnets(drawn: Sequence[Subnet], space: SearchSpace) -> list[Subnet]:
    """Choose sub-networks from whose costs those of all others follow.

    Among them are all that are within no other one: one of these has the highest peak.
    """
    chosen = [one for one in drawn if not any(_within(one, other) for other in drawn)]
    rank = np.linalg.matrix_rank(np.stack([_features(one, space) for one in chosen]))
    for subnet in drawn:
        rows = np.stack([_features(one, space) for one in (*chosen, subnet)])
        if np.linalg.matrix_rank(rows) > rank:
            chosen.append(subnet)
            rank += 1
    return chosen


def _within(subnet: Subnet, other: Subnet) -> bool:
    """Tell whether one sub-network is a part of another one."""
    depths = zip(subnet.stage_depths, other.stage_depths, strict=True)
    smaller = subnet.width <= other.width and all(mine <= theirs for mine, theirs in depths)
    return smaller and subnet != other


def _features(subnet: Subnet, space: SearchSpace) -> np.ndarray:
    """Return what a cost is linear in: powers of the width times the blocks of each stage."""
    width = subnet.width / space.widths[-1]
    return np.outer([1, width, width**2], [1, *subnet.stage_depths]).ravel()


def _sides(size: int | Sequence[int]) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else (size[0], size[1])
