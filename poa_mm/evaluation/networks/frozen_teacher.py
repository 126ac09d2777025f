"""The frozen teacher of SEED: a sub-network, an extracted backbone or a model of timm."""

from collections.abc import Callable
from os import PathLike
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from poa_mm.checkpoints.checkpoint import load_backbone, load_supernet
from poa_mm.checkpoints.preprocessing import (
    ImageSize,
    Preprocessing,
    imagenet_preprocessing,
    preprocessing_of,
    stored_preprocessing,
)
from poa_mm.checkpoints.subnet_scheme import SCHEME, split_address
from poa_mm.evaluation.networks.stock_tokens import stock_tokens
from poa_mm.evaluation.networks.timm_models import create_timm, timm_preprocessing, timm_tokens
from poa_mm.files import check_file
from poa_mm.registry import MODELS

__all__ = ['FrozenTeacher']


class Opened(NamedTuple):
    """A network, what it makes of images (B, C, H, W), and what images it expects."""

    network: nn.Module
    feature: Callable[[Tensor], Tensor]
    preprocessing: Preprocessing


@MODELS.register_module()
class FrozenTeacher:
    """A network that is only asked for its features.

    It is no module: a model that holds it has none of its weights in checkpoints, in its optimiser
    or in DDP. It follows the images to their device and precision, and runs in evaluation mode.

    Images are normalised as the network expects them, and resized (bicubic) where they have another
    size than it was trained with. Give ``image_size`` to spare a model of timm of 518 pixels that
    work: crops of 224 hold no more.

    Args:
        checkpoint: ``subnet://NAME@CHECKPOINT``, a sub-network of a run, or the file of an
            extracted backbone (``*.pth``, ``*.safetensors``).
        timm: Name of a model of timm, instead of ``checkpoint``; its weights are downloaded unless
            they are in the cache of the Hugging Face Hub.
        timm_weights: ``'pretrained'``, ``'random'`` or a file of weights.
        image_size: Height and width, or side, of the network's images; by default those that it
            was trained with.

    Attributes:
        width: Dimension D of its features.
        channels: Channels of its images.

    Raises:
        FileNotFoundError: No such file.
        ValueError: Both or neither of ``checkpoint`` and ``timm``, a file of another kind, no such
            sub-network or model, or weights that cannot be downloaded.
    """

    def __init__(
        self,
        checkpoint: str | PathLike | None = None,
        timm: str | None = None,
        timm_weights: str | PathLike = 'pretrained',
        image_size: int | ImageSize | None = None,
    ) -> None:
        if (checkpoint is None) == (timm is None):
            raise ValueError(
                'the teacher of SEED needs either checkpoint=... or timm=..., got '
                f'checkpoint={checkpoint!r} and timm={timm!r}'
            )
        # Another teacher must not move the random stream that initialises the student.
        with torch.random.fork_rng(devices=[]):
            opened = (
                _open_file(str(checkpoint))
                if timm is None
                else _open_timm(timm, timm_weights, image_size)
            )
        self.network, self.feature, self.preprocessing = opened
        self.network.requires_grad_(False).eval()
        size = self.preprocessing.image_size if image_size is None else image_size
        self.image_size: ImageSize = (size, size) if isinstance(size, int) else (size[0], size[1])
        self.channels = self.preprocessing.channels
        self.width = self._width()

    def __call__(
        self, images: Tensor, mean: Tensor | None = None, std: Tensor | None = None
    ) -> Tensor:
        """Compute features (B, D) of images, without gradients.

        Args:
            images: Normalised images, (B, C, h, w).
            mean: Of each channel, by which they were normalised, for values of 0…255; ``None`` if
                they are already as the network expects them.
            std: Likewise, the standard deviation.
        """
        self.network.to(images)
        with torch.no_grad():
            if mean is not None and std is not None:
                images = self._normalised(images, mean, std)
            if images.shape[-2:] != self.image_size:
                images = F.interpolate(images, self.image_size, mode='bicubic', antialias=True)
            return self.feature(images)

    def _normalised(self, images: Tensor, mean: Tensor, std: Tensor) -> Tensor:
        """Take the student's normalisation back, and apply the network's own."""
        ours = [images.new_tensor(values) for values in self._statistics()]
        own_mean, own_std = (values[:, None, None] for values in ours)
        theirs = (values.to(images).reshape(-1, 1, 1) for values in (mean, std))
        their_mean, their_std = theirs
        return images * (their_std / own_std) + (their_mean - own_mean) / own_std

    def _statistics(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        return self.preprocessing.mean, self.preprocessing.std

    def _width(self) -> int:
        """Ask the network about a black image."""
        image = torch.zeros(1, self.channels, *self.image_size)
        return self(image.to(next(self.network.parameters()))).shape[1]


def _open_file(address: str) -> Opened:
    if address.startswith(SCHEME):
        name, path = split_address(address)
        check_file(path, 'checkpoint of the teacher')
        supernet = load_supernet(path)
        network = supernet.extract(name)
        preprocessing = preprocessing_of(supernet, supernet.run_config)
    else:
        check_file(address, 'checkpoint of the teacher')
        network = load_backbone(address)
        preprocessing = stored_preprocessing(address) or imagenet_preprocessing(network)
    tokens = stock_tokens(network)
    return Opened(network, lambda images: tokens(images).cls, preprocessing)


def _open_timm(name: str, weights: str | PathLike, image_size: int | ImageSize | None) -> Opened:
    network = create_timm(name, str(weights), image_size)
    tokens = timm_tokens(network)
    return Opened(network, lambda images: tokens(images).cls, timm_preprocessing(network))
