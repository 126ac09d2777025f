"""What each branch of self-distillation sees and computes."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn

from poa_mm.elastic import Subnet
from poa_mm.models.backbones.elastic_backbone import ElasticBackbone
from poa_mm.models.heads import MultiProjectionHead
from poa_mm.models.losses import (
    NUM_GLOBAL,
    Centering,
    PrototypeLogits,
    SinkhornKnopp,
    StudentHead,
    StudentLogProbs,
    TeacherHead,
    TeacherTargets,
)

Watch = Callable[[Tensor, Sequence[TeacherHead]], None]


class HasBackboneAndHead(Protocol):
    """The teacher, or POA itself, which holds the two of the students."""

    @property
    def backbone(self) -> ElasticBackbone:
        """Elastic backbone."""

    @property
    def head(self) -> MultiProjectionHead:
        """Projection heads."""


class Branch(nn.Module):
    """A backbone and its heads.

    Args:
        backbone: Elastic backbone.
        head: Projection heads.
    """

    def __init__(self, backbone: ElasticBackbone, head: MultiProjectionHead) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head


class Masking(NamedTuple):
    """Which patches of the global views a branch does not see, and which it embeds.

    Attributes:
        masks: Patches to hide, (2B, N) bool.
        positions: Positions of the M masked patches among all 2B·N, (M,); ``None`` if no patches
            are predicted.
        divisors: What :func:`~poa_mm.models.losses.patch_loss` divides the loss of each of them by,
            (M,) int: the number of masked patches of its view, times the number of views.
    """

    masks: Tensor | None = None
    positions: Tensor | None = None
    divisors: Tensor | None = None


NO_MASKING = Masking()


def masked_patches(masks: Tensor, device: torch.device) -> Masking:
    """Index masks (2B, N), and move the result to a device.

    Masks on the CPU are indexed there, so that the CPU does not wait for a GPU.
    """
    positions = masks.flatten().nonzero().squeeze(1)
    divisors = (masks.sum(dim=1) * len(masks))[positions // masks.shape[1]]
    parts = (masks, positions, divisors)
    return Masking(*(part.to(device, non_blocking=True) for part in parts))


def nothing_masked(backbone: ElasticBackbone, global_crops: Tensor) -> Masking:
    """Return masks that hide nothing: a mask token must stay a part of the graph, for DDP."""
    if not backbone.with_mask_token:
        return NO_MASKING
    rows, columns = backbone.mask_grid(*global_crops.shape[-2:])
    shape = (len(global_crops), rows * columns)
    return Masking(torch.zeros(shape, dtype=torch.bool, device=global_crops.device))


class Batch(NamedTuple):
    """What a training step sees.

    Attributes:
        global_crops: View 1 of all images, then view 2, (2B, C, G, G).
        local_crops: View-major, (V·B, C, L, L).
        masking: Patches of the global views that the students predict.
        subnet: The elastic student; ``None`` if no sub-network trains.
        teacher_temp: τ_t.
    """

    global_crops: Tensor
    local_crops: Tensor
    masking: Masking
    subnet: Subnet | None
    teacher_temp: float


class Features(NamedTuple):
    """What one branch computes for a batch.

    Attributes:
        global_tokens: Class tokens of the backbone for the global views, (2B, D).
        global_: Bottleneck of each head for the class tokens of the global views, (2B, d).
        local: The same for the local views, (V·B, d); empty for the teacher.
        patch: The same for the masked patches, (M, d); empty if none are predicted.
    """

    global_tokens: Tensor
    global_: list[Tensor]
    local: list[Tensor]
    patch: list[Tensor]

    def student_heads(self, prototypes: list[Tensor], temperature: float) -> list[StudentHead]:
        """Return a student's predictions in each head.

        Args:
            prototypes: Prototypes (K_h, d) of each head.
            temperature: τ_s.
        """
        images = len(self.global_tokens) // NUM_GLOBAL
        heads = []
        for index, weight in enumerate(prototypes):
            tokens = [
                self.global_[index].unflatten(0, (-1, images)),
                self.local[index].unflatten(0, (-1, images)),
            ]
            if self.patch:
                tokens.append(self.patch[index])
            logits = [PrototypeLogits(part, weight) for part in tokens]
            heads.append(StudentHead(*(StudentLogProbs(part, temperature) for part in logits)))
        return heads

    def detached(self) -> 'Features':
        """Return the same without gradient, and without what the gradient would need."""
        lists = ([part.detach() for part in parts] for parts in self[1:])
        return Features(self.global_tokens.detach(), *lists)


def branch_features(
    branch: HasBackboneAndHead,
    global_crops: Tensor,
    local_crops: Tensor | None = None,
    subnet: Subnet | str | None = None,
    masking: Masking = NO_MASKING,
) -> Features:
    """Run one branch. All its tokens pass the heads together.

    Args:
        branch: The teacher, or the model itself for a student.
        global_crops: (2B, C, G, G).
        local_crops: (V·B, C, L, L).
        subnet: The sub-network that sees the crops; ``None`` is the intact one.
        masking: Patches of the global views to hide and to embed.
    """
    class_tokens, patch_tokens = branch.backbone.tokens(global_crops, subnet, masking.masks)
    tokens = [class_tokens]
    if local_crops is not None:
        tokens.append(branch.backbone.tokens(local_crops, subnet)[0])
    if masking.positions is not None:
        tokens.append(patch_tokens.flatten(0, 1)[masking.positions])
    sizes = [len(part) for part in tokens]
    heads = [bottleneck.split(sizes) for bottleneck in branch.head.embed(torch.cat(tokens))]
    return Features(
        class_tokens,
        global_=[parts[0] for parts in heads],
        local=[parts[1] for parts in heads] if local_crops is not None else [],
        patch=[parts[-1] for parts in heads] if masking.positions is not None else [],
    )


@torch.no_grad()
def teacher_heads(
    teacher: HasBackboneAndHead,
    batch: Batch,
    centering: SinkhornKnopp | Centering,
    watch: Watch | None = None,
    subnet: Subnet | None = None,
    prefix: str = '',
) -> list[TeacherHead]:
    """Run the teacher, and return its targets in each head.

    Args:
        teacher: The teacher.
        batch: Its global views, of which the teacher sees all patches, and τ_t.
        centering: Finds the shifts of the targets.
        watch: Called with the class tokens of the global views, (2B, D), and the result.
        subnet: The sub-network that sees the views; ``None`` is the intact one.
        prefix: Comes before the kinds of tokens, ``'class'`` and ``'patch'``, for ``centering``.
    """
    unmasked = batch.masking._replace(masks=None)
    features = branch_features(teacher, batch.global_crops, subnet=subnet, masking=unmasked)
    prototypes = teacher.head.prototypes()
    kinds = {f'{prefix}class': features.global_}
    if features.patch:
        kinds[f'{prefix}patch'] = features.patch
    shifts = centering(kinds, prototypes, batch.teacher_temp)
    heads = []
    for index, weight in enumerate(prototypes):
        tokens = {f'{prefix}class': features.global_[index].unflatten(0, (NUM_GLOBAL, -1))}
        if features.patch:
            tokens[f'{prefix}patch'] = features.patch[index]
        targets = (
            TeacherTargets(PrototypeLogits(part, weight), batch.teacher_temp, shifts[kind][index])
            for kind, part in tokens.items()
        )
        heads.append(TeacherHead(*targets))
    if watch is not None:
        watch(features.global_tokens, heads)
    return heads
