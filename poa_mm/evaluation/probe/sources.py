"""What a linear head takes of a network: the last 1 or 4 levels, with or without the mean token."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from poa_mm.evaluation.networks.measured import Measured, Network

__all__ = ['PROBE', 'SOURCES', 'ProbeSources', 'probe_columns', 'sources_of']

PROBE = 'probe'  # of features, in a store: what :func:`probe_columns` returns

# The last level is the class token after the final norm, or the mean of the last map; the last four
# are those of POA's evaluation code: four evenly spaced blocks of a ViT, the stages of other
# families. The mean is that of the last level's patch tokens.
SOURCES = ('last 1', 'last 4', 'last 1 + mean', 'last 4 + mean')


@dataclass(frozen=True)
class ProbeSources:
    """Columns of a network's features by source, so that none is kept twice.

    Args:
        widths: Channels of each level, the last one at the end.
        mean: Channels of the mean patch token.

    Example:
        >>> ProbeSources(widths=(16, 16, 16, 32), mean=32).columns['last 4']
        slice(0, 80, None)
    """

    widths: tuple[int, ...]
    mean: int

    @property
    def width(self) -> int:
        """Number of all columns."""
        return sum(self.widths) + self.mean

    @property
    def columns(self) -> dict[str, slice]:
        """Columns by source. A network of one level has no sources of four."""
        levels = sum(self.widths)
        last = levels - self.widths[-1]
        columns = {
            'last 1': slice(last, levels),
            'last 4': slice(0, levels),
            'last 1 + mean': slice(last, self.width),
            'last 4 + mean': slice(0, self.width),
        }
        if len(self.widths) == 1:
            columns = {name: columns[name] for name in ('last 1', 'last 1 + mean')}
        return columns

    def width_of(self, source: str) -> int:
        """Channels of a source."""
        columns = self.columns[source]
        return columns.stop - columns.start

    def split(self, features: Tensor) -> dict[str, Tensor]:
        """Return views of features (N, ``width``) by source."""
        return {source: features[:, columns] for source, columns in self.columns.items()}


def probe_columns(
    cls: Tensor, patches: Tensor, levels: Sequence[Tensor] | None = None
) -> tuple[Tensor, ProbeSources]:
    """Put all that heads take of a batch side by side.

    Args:
        cls: Class token (B, D), the last level.
        patches: Patch tokens (B, N, D).
        levels: Features (B, D) of all levels, the last one at the end; None if there is one alone.

    Returns:
        float32 (B, width), and where in it which source is.

    Example:
        >>> features, sources = probe_columns(torch.ones(2, 4), torch.zeros(2, 9, 4))
        >>> sources.split(features)['last 1 + mean'].shape
        torch.Size([2, 8])
    """
    levels = [cls] if levels is None else levels
    # Averaged in float32 whatever the network ran in.
    mean = patches.float().mean(dim=1)
    sources = ProbeSources(tuple(level.shape[1] for level in levels), mean.shape[1])
    return torch.cat([*(level.float() for level in levels), mean], dim=1), sources


def sources_of(measured: 'Measured') -> dict['Network', ProbeSources]:
    """Find out which features networks have, on an image of zeros."""
    preprocessing = measured.preprocessing
    image = torch.zeros(1, preprocessing.channels, *preprocessing.image_size)
    return {
        network: probe_columns(tokens.cls, tokens.patches, tokens.levels)[1]
        for network, tokens in measured.tokens(image)
    }
