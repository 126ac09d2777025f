"""What hooks and tools know of every algorithm of this package."""

from abc import abstractmethod

import torch
from mmengine import dist
from mmpretrain.models.selfsup import BaseSelfSupervisor
from torch import Tensor

from poa_mm.models.backbones import ElasticBackbone
from poa_mm.models.losses import Terms


class Pretraining(BaseSelfSupervisor):
    """An algorithm that pre-trains an elastic backbone.

    Attributes:
        own_terms: This rank's own terms of its last batch, before the mean over ranks.
    """

    backbone: ElasticBackbone
    own_terms: Terms

    @property
    @abstractmethod
    def result(self) -> ElasticBackbone:
        """The backbone to use downstream, which is measured during the run."""

    def parse_losses(self, losses: Terms) -> tuple[Tensor, Terms]:
        """Return the loss to train on, and what to log: means over all ranks, in one exchange."""
        loss, logged = super().parse_losses(losses)
        self.own_terms = {name: value.detach() for name, value in logged.items()}
        values = torch.stack([value.detach().to(loss.dtype) for value in logged.values()])
        dist.all_reduce(values, 'mean')
        return loss, dict(zip(logged, values.unbind(), strict=True))
