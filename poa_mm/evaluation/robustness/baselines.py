"""What a robust network must beat, by k-NN: the same network with random weights, and pixels."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from poa_mm.evaluation.baselines import pixel_features, untrained_networks
from poa_mm.evaluation.features import flat_pixels, prepared
from poa_mm.evaluation.network_features import FeatureReader
from poa_mm.evaluation.robustness.classifiers import knn_classifiers, knn_of_bank
from poa_mm.evaluation.robustness.run import Prediction, untrained_key

__all__ = ['PredictionBesideBaselines', 'raw_pixels_of']


class PredictionBesideBaselines:
    """Classes that networks and their baselines predict for images.

    Banks are made when it is built; the processes of a shared reader do so together.

    Args:
        networks: Prediction of the networks.
        reader: Reads the clean training images.
        k: Number of neighbours.
    """

    def __init__(self, networks: Prediction, reader: FeatureReader, k: int = 20) -> None:
        measured = networks.measured
        self.networks = networks
        self.untrained: Prediction | None = None
        random = untrained_networks(measured)
        if random is not None:
            self.untrained = Prediction(random, knn_classifiers(reader, random, k, keep=False))
        self.pixels: dict[str, Callable[[Tensor], Tensor]] = {}
        for kind, splits in pixel_features(reader).items():
            train = splits['train']
            self.pixels[kind] = knn_of_bank(train.features['cls'], train.labels, measured.device, k)
        self._raw = raw_pixels_of(reader.preprocessor, measured.preprocessing.channels)

    def __call__(self, images: Tensor) -> Iterator[tuple[str, Tensor]]:
        """Yield the name of each network or baseline and the classes (B,) of normalised images."""
        yield from self.networks(images)
        if self.untrained is not None:
            for name, classes in self.untrained(images):
                yield untrained_key(name), classes
        for kind, classify in self.pixels.items():
            same = self._raw(images) if kind == 'raw' else images
            yield f'{kind}_pixels', classify(flat_pixels(same))


def raw_pixels_of(preprocessor: nn.Module, channels: int = 3) -> Callable[[Tensor], Tensor]:
    """Return what takes normalised images (B, C, H, W) back to values as they are read.

    Normalising, with or without another order of channels, is an affine map of a pixel's channels.
    It is asked for the map of black and of each channel alone, so any preprocessor will do.

    Args:
        preprocessor: Normalises images.
        channels: C.
    """
    probes = torch.cat([torch.zeros(1, channels), 255 * torch.eye(channels)])
    mapped = prepared(probes[..., None, None], preprocessor)[..., 0, 0].cpu().double()
    black = mapped[0]
    inverse = 255 * torch.linalg.inv(mapped[1:] - black)

    def raw(images: Tensor) -> Tensor:
        shifted = images.float() - black.float().to(images.device)[:, None, None]
        return torch.einsum('bchw,cd->bdhw', shifted, inverse.float().to(images.device))

    return raw
