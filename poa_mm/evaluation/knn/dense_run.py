"""Dense k-NN of a grid of networks beside random weights and pixels, from its journal on."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from poa_mm.checkpoints.preprocessing import Preprocessing
from poa_mm.evaluation.baselines import untrained_networks
from poa_mm.evaluation.journal import Journal
from poa_mm.evaluation.knn.dense_networks import DenseKnn, DenseRow
from poa_mm.evaluation.networks.measured import Measured, Network, Tokens
from poa_mm.evaluation.ranks import from_first_rank

__all__ = ['PIXELS_KEY', 'UNTRAINED_KEY', 'PixelPatches', 'dense_rows']

PIXELS_KEY, UNTRAINED_KEY = 'normalised_pixels', 'untrained'
PIXELS = Network('pixels')


class PixelPatches:
    """A network whose patch tokens are the normalised pixels of the patches.

    Args:
        measured: Networks beside which it stands: its patches are those of the first one.

    Attributes:
        grid: Rows and columns of the patches.

    Example:
        >>> from poa_mm.evaluation import MeasuredSupernet
        >>> from poa_mm.models.backbones import ElasticVisionTransformer
        >>> net = ElasticVisionTransformer('deit-tiny', depths=[6, 12], img_size=32).eval()
        >>> pixels = PixelPatches(MeasuredSupernet(net))
        >>> for network, tokens in pixels.tokens(torch.randn(5, 3, 32, 32)):
        ...     print(network.name, tuple(tokens.patches.shape), tokens.grid)
        pixels (5, 4, 768) (2, 2)
    """

    source_sha256 = branch = ''
    config = None
    dtype = torch.float32

    def __init__(self, measured: Measured) -> None:
        self.networks: Sequence[Network] = (PIXELS,)
        self.source = PIXELS.name
        self.preprocessing: Preprocessing = measured.preprocessing
        self.device = measured.device
        expected = measured.preprocessing
        image = torch.zeros(1, expected.channels, *expected.image_size)
        ((_, tokens),) = measured.tokens(image, measured.networks[:1])
        self.grid = tokens.grid

    def tokens(
        self, images: Tensor, networks: Sequence[Network] | None = None
    ) -> Iterator[tuple[Network, Tokens]]:
        """Cut images into patches; see :meth:`Measured.tokens`.

        Images that the grid does not divide are enlarged to the next size that it does.
        """
        images = images.to(self.device)
        rows, columns = self.grid
        sides = -(-images.shape[-2] // rows), -(-images.shape[-1] // columns)
        size = rows * sides[0], columns * sides[1]
        if images.shape[-2:] != size:
            images = F.interpolate(images, size, mode='bilinear', align_corners=False)
        patches = F.unfold(images, sides, stride=sides).transpose(1, 2)
        yield PIXELS, Tokens(patches.mean(dim=1), patches, self.grid)


def dense_rows(
    evaluator: DenseKnn, measured: Measured, journal: Journal | None, baselines: bool = False
) -> Iterator[DenseRow]:
    """Yield a row for each network: those of the journal, and new ones, which it keeps.

    Args:
        evaluator: Holds images and settings.
        measured: Networks to evaluate.
        journal: Of this evaluation; None in other processes than the first, which writes it.
        baselines: Also measure pixels, and the sub-networks of a supernet with random weights.
    """
    done = from_first_rank({} if journal is None else dict(journal.done))
    missing = [network for network in measured.networks if network.name not in done]
    fresh = evaluator.rows(measured, missing)
    if baselines and missing:
        fresh = _beside_baselines(evaluator, measured, missing, fresh)
    for network in measured.networks:
        if network.name in done:
            yield DenseRow.from_plain(done[network.name])
            continue
        row = next(fresh)
        if journal is not None:
            journal.add(network.name, asdict(row))
        yield row


def _beside_baselines(
    evaluator: DenseKnn, measured: Measured, networks: Sequence[Network], rows: Iterator[DenseRow]
) -> Iterator[DenseRow]:
    (pixels,) = evaluator.rows(PixelPatches(measured))
    random = untrained_networks(measured, networks)
    untrained = evaluator.rows(random) if random is not None else None
    for row in rows:
        beside = {} if untrained is None else {UNTRAINED_KEY: next(untrained).ious}
        yield replace(row, baselines={**beside, PIXELS_KEY: pixels.ious})
