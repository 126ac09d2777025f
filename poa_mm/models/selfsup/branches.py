"""What each of POA's branches sees and computes."""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from poa_mm.elastic import Subnet
from poa_mm.models.losses import ClassTokens


class Branch(nn.Module):
    """A backbone and its heads.

    Args:
        backbone: Elastic backbone.
        head: Projection heads.
    """

    def __init__(self, backbone: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head


class MaskedPatches(NamedTuple):
    """Which patches of the global views are masked, and how much each one counts.

    Attributes:
        masks: (2B, N) bool.
        positions: Of the M masked patches among all 2B·N, (M,).
        divisors: What the loss of each of them is divided by, (M,) int: the number of masked
            patches of its view, times the number of views. So each masked view counts by the mean
            over its patches, and their sum is divided by the number of all views (App. C.3).
    """

    masks: Tensor
    positions: Tensor
    divisors: Tensor


def masked_patches(masks: Tensor, device: torch.device) -> MaskedPatches:
    """Index masks (2B, N), and move the result to a device.

    Masks that lie on the CPU are indexed there, so that no GPU has to be waited for.
    """
    positions = masks.flatten().nonzero().squeeze(1)
    divisors = (masks.sum(dim=1) * len(masks))[positions // masks.shape[1]]
    parts = (masks, positions, divisors)
    return MaskedPatches(*(part.to(device, non_blocking=True) for part in parts))


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

    def class_tokens(self, head: int) -> ClassTokens:
        """A student's class tokens in a head."""
        return ClassTokens(self.global_[head], self.local[head])

    def detached(self) -> 'Features':
        """The same without gradient, and without what the gradient would need."""
        lists = ([part.detach() for part in parts] for parts in self[1:])
        return Features(self.global_tokens.detach(), *lists)


def branch_features(
    branch: Any,
    global_crops: Tensor,
    local_crops: Tensor | None = None,
    subnet: Subnet | str | None = None,
    masks: Tensor | None = None,
    patches: Tensor | None = None,
) -> Features:
    """Run one branch. All its tokens pass the heads together.

    Args:
        branch: Anything with an elastic ``backbone`` and a ``head``.
        global_crops: (2B, C, G, G).
        local_crops: (V·B, C, L, L).
        subnet: The sub-network that sees the crops; ``None`` is the intact one.
        masks: What is hidden from the branch in the global views, (2B, N) bool.
        patches: Positions of the patches to predict among all 2B·N, (M,).
    """
    class_tokens, patch_tokens = branch.backbone.tokens(global_crops, subnet, masks)
    tokens = [class_tokens]
    if local_crops is not None:
        tokens.append(branch.backbone.tokens(local_crops, subnet)[0])
    if patches is not None:
        tokens.append(patch_tokens.flatten(0, 1)[patches])
    sizes = [len(part) for part in tokens]
    heads = [bottleneck.split(sizes) for bottleneck in branch.head.embed(torch.cat(tokens))]
    return Features(
        class_tokens,
        global_=[parts[0] for parts in heads],
        local=[parts[1] for parts in heads] if local_crops is not None else [],
        patch=[parts[-1] for parts in heads] if patches is not None else [],
    )
