"""KoLeo: a regulariser that spreads features over the sphere."""

import torch
import torch.nn.functional as F
from torch import Tensor

from poa_mm.models.losses.chunks import full_precision, without_autocast
from poa_mm.models.losses.distillation import NUM_GLOBAL

EPS = 1e-8  # bounds the loss of two equal features, whose distance is zero


def koleo_loss(features: Tensor) -> Tensor:
    """Compute ``−1/n Σ log d_i``, d_i the distance to the nearest neighbour (Eq. 13, App. C.2).

    Distances are Euclidean between L2-normalised features, in float32 at least, within this rank's
    batch.

    Args:
        features: One view of n images, (n, D).

    Raises:
        ValueError: A single feature has no neighbour.
    """
    check_koleo_batch(len(features))
    with without_autocast(features.device.type):
        x = F.normalize(full_precision(features), dim=-1)
        with torch.no_grad():
            similarity = x @ x.T
            similarity.fill_diagonal_(-torch.inf)
            nearest = similarity.argmax(dim=1)
        distance = torch.linalg.vector_norm(x - x[nearest], dim=1)
        return -distance.clamp(min=EPS).log().mean()


def koleo_of_global_views(features: Tensor) -> Tensor:
    """Sum KoLeo over the two global views, each apart.

    Args:
        features: View 1 of all images, then view 2, (2B, D).
    """
    return torch.stack([koleo_loss(view) for view in features.chunk(NUM_GLOBAL)]).sum()


def check_koleo_batch(batch: int) -> None:
    """Check that a batch is large enough for KoLeo, or raise a ValueError."""
    if batch < 2:
        raise ValueError(
            f'KoLeo needs at least 2 images per GPU, got {batch}; raise the batch size or set '
            'koleo_weight=0'
        )
