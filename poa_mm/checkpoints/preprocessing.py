"""Describe what images a network expects, and prepare them."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any

from PIL import Image
from torch import nn
from torchvision import transforms
from torchvision.transforms import InterpolationMode

from poa_mm.checkpoints.checkpoint import PREPROCESSING_INFO
from poa_mm.checkpoints.safetensors_file import ABOUT, SUFFIX, read_tensors
from poa_mm.files import read_file
from poa_mm.models.backbones.elastic_backbone import ElasticBackbone
from poa_mm.models.backbones.supernet_layers import image_channels

ImageSize = tuple[int, int]  # height and width
IMAGENET_MEAN = (123.675, 116.28, 103.53)
IMAGENET_STD = (58.395, 57.12, 57.375)
IMAGENET_CROP = 224
IMAGENET_CROP_RATIO = 224 / 256
# What channels are, by their number, and the mode that Pillow converts an image file to for them.
CHANNELS = {3: 'RGB', 1: 'grey'}
MODES = {3: 'RGB', 1: 'L'}


@dataclass(frozen=True)
class Preprocessing:
    """How images become inputs. Three channels are in the order RGB, one is grey.

    Args:
        image_size: Height and width of the centre crop.
        mean: Of each channel, for values of 0…255.
        std: Likewise, as many.
        crop_ratio: Side of the crop as a share of the resized image's shorter side; 1 where images
            are taken whole.
        interpolation: For resizing.
    """

    image_size: ImageSize
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    crop_ratio: float = IMAGENET_CROP_RATIO
    interpolation: str = 'bicubic'

    @property
    def channels(self) -> int:
        """Channels of an image."""
        return len(self.mean)

    @property
    def mode(self) -> str:
        """Pillow's mode of an image file that is read for these channels.

        Raises:
            ValueError: Files are not read with that many channels.
        """
        if self.channels not in MODES:
            raise ValueError(
                f'image files are read as RGB (3 channels) or grey (1); the network takes '
                f'{self.channels}: give it tensors from Python'
            )
        return MODES[self.channels]

    @property
    def resized_to(self) -> int:
        """Shorter side in pixels of the resized image, before its centre is cropped."""
        return round(min(self.image_size) / self.crop_ratio)

    def transform(self) -> transforms.Compose:
        """Build the transform from a PIL image of any mode to a float tensor (C, H, W).

        Raises:
            ValueError: Image files are not read with that many channels.
        """
        mode = self.mode
        return transforms.Compose(
            [
                transforms.Lambda(partial(_convert, mode=mode)),
                transforms.Resize(self.resized_to, InterpolationMode(self.interpolation)),
                transforms.CenterCrop(self.image_size),
                transforms.ToTensor(),
                transforms.Normalize(self.unit_mean, self.unit_std),
            ]
        )

    @property
    def unit_mean(self) -> tuple[float, ...]:
        """Mean for values of 0…1."""
        return tuple(round(value / 255, 6) for value in self.mean)

    @property
    def unit_std(self) -> tuple[float, ...]:
        """Standard deviation for values of 0…1."""
        return tuple(round(value / 255, 6) for value in self.std)

    def as_dict(self) -> dict[str, Any]:
        """Return plain data for files."""
        return {
            'image_size': list(self.image_size),
            'channels': CHANNELS.get(self.channels, self.channels),
            'mean': list(self.unit_mean),
            'std': list(self.unit_std),
            'mean_of_255': list(self.mean),
            'std_of_255': list(self.std),
            'crop_ratio': self.crop_ratio,
            'interpolation': self.interpolation,
        }

    @classmethod
    def from_dict(cls, data: Any) -> 'Preprocessing':
        """Read what :meth:`as_dict` returned.

        Raises:
            ValueError: A value is missing or invalid; the message names it.
        """
        if not isinstance(data, Mapping):
            raise ValueError(f'preprocessing must be a dict, got {data!r}')
        missing = [name for name in cls((1, 1)).as_dict() if name not in data]
        if missing:
            raise ValueError(f'preprocessing has no {", ".join(missing)}')
        sides, ratio, channels = (data[key] for key in ('image_size', 'crop_ratio', 'channels'))
        count = {name: number for number, name in CHANNELS.items()}.get(channels, channels)
        count = count if isinstance(count, int) else 0
        valid = {
            'image_size': _are_positive(sides, 2) and all(isinstance(side, int) for side in sides),
            'channels': count > 0,
            'mean_of_255': _are_numbers(data['mean_of_255'], count),
            'std_of_255': _are_positive(data['std_of_255'], count),
            'crop_ratio': _are_positive([ratio], 1) and ratio <= 1,
            'interpolation': data['interpolation'] in [mode.value for mode in InterpolationMode],
        }
        wrong = {name: data[name] for name, fine in valid.items() if not fine}
        if wrong:
            raise ValueError(f'preprocessing has invalid values: {wrong}')
        return cls(
            image_size=(sides[0], sides[1]),
            mean=tuple(data['mean_of_255']),
            std=tuple(data['std_of_255']),
            crop_ratio=ratio,
            interpolation=data['interpolation'],
        )

    def __str__(self) -> str:
        """Describe it in words, for people who prepare images by other means."""
        height, width = self.image_size
        mean, std = (
            ' '.join(f'{value:.4f}' for value in values)
            for values in (self.unit_mean, self.unit_std)
        )
        channels = CHANNELS.get(self.channels, f'with {self.channels} channels')
        text = f'{height} × {width} {channels}, of values of 0…1 minus {mean}, over {std}'
        if self.crop_ratio == 1:
            return f'{text}; resized whole ({self.interpolation})'
        return f'{text}; centre of a {self.interpolation} resize to {self.resized_to}'


def _convert(image: Image.Image, mode: str) -> Image.Image:
    return image.convert(mode)


def _are_numbers(values: Any, count: int) -> bool:
    return (
        isinstance(values, Sequence)
        and len(values) == count
        and all(isinstance(value, int | float) and math.isfinite(value) for value in values)
    )


def _are_positive(values: Any, count: int) -> bool:
    return _are_numbers(values, count) and all(value > 0 for value in values)


def stored_preprocessing(path: str | PathLike) -> Preprocessing | None:
    """Read from a file of one sub-network what images it expects; None if it does not say.

    Args:
        path: File of ``tools/extract_subnet.py`` or ``tools/export_subnet.py``, ``*.pth`` or
            ``*.safetensors``.

    Raises:
        FileNotFoundError: No such file.
        ValueError: Not such a file, a damaged one, or one with invalid preprocessing.
    """
    if Path(path).suffix == SUFFIX:
        about = json.loads(read_tensors(path)[1].get(ABOUT, '{}'))
    else:
        about = read_file(path)
    data = about.get(PREPROCESSING_INFO) if isinstance(about, Mapping) else None
    try:
        return None if data is None else Preprocessing.from_dict(data)
    except ValueError as error:
        raise ValueError(f'{path} does not say clearly what images it expects: {error}') from error


def image_transform(net: nn.Module) -> transforms.Compose:
    """Build the transform from a PIL image to the input that a network expects.

    Args:
        net: Supernet of :func:`poa_mm.load_supernet` or backbone of :func:`poa_mm.load_backbone`.
            Of any other network nothing is known but its channels: it gets ImageNet's values.

    Returns:
        From a PIL image of any mode to a float tensor (C, H, W), normalised. ``net`` takes batches
        of these: ``net(transform(image)[None])``.

    Raises:
        ValueError: The network takes neither RGB nor grey images, or its file has preprocessing
            with invalid values.

    Examples:
        >>> from PIL import Image
        >>> import poa_mm
        >>> supernet = poa_mm.load_supernet('iter_1000.pth')
        >>> transform = poa_mm.image_transform(supernet)
        >>> inputs = transform(Image.open('photo.jpg'))[None]
        >>> inputs.shape
        torch.Size([1, 3, 16, 16])
        >>> supernet(inputs, 'smallest')[-1].shape
        torch.Size([1, 16])
    """
    if isinstance(net, ElasticBackbone) and hasattr(net, 'run_config'):
        return preprocessing_of(net, net.run_config).transform()
    stored = getattr(net, PREPROCESSING_INFO, None)
    if stored is not None:
        return Preprocessing.from_dict(stored).transform()
    return imagenet_preprocessing(net).transform()


def preprocessing_of(
    supernet: ElasticBackbone,
    config: Mapping[str, Any],
    image_size: int | ImageSize | None = None,
) -> Preprocessing:
    """Work out from a run's config what images the sub-networks of its supernet expect.

    Args:
        supernet: Where they are cut out of.
        config: Config of the run that trained it; {} if there is none, for ImageNet's values, their
            average over RGB where the network takes another number of channels.
        image_size: Height and width, or side. Defaults to the ``img_size`` of the supernet, or else
            to that of the config's k-NN images or crops.

    Raises:
        ValueError: The config normalises another number of channels than the supernet takes.

    Examples:
        >>> from poa_mm.checkpoints import load_supernet
        >>> supernet = load_supernet('iter_1000.pth')
        >>> print(preprocessing_of(supernet, supernet.run_config))
        16 × 16 RGB, of values of 0…1 minus 0.4850 0.4560 0.4060, over 0.2290 0.2240 0.2250; centre
        of a bicubic resize to 18
    """
    channels = image_channels(supernet)
    model = config.get('model', {})
    normalisation = config.get('data_preprocessor') or model.get('data_preprocessor') or {}
    evaluation = list(_transforms(config.get('knn_pipeline', ())))
    size = _image_size(supernet, config) if image_size is None else image_size
    return Preprocessing(
        image_size=(size, size) if isinstance(size, int) else (size[0], size[1]),
        mean=_per_channel('mean', normalisation.get('mean'), channels),
        std=_per_channel('std', normalisation.get('std'), channels),
        crop_ratio=_crop_ratio(evaluation) if 'knn_pipeline' in config else IMAGENET_CROP_RATIO,
        interpolation=_setting(evaluation, 'Resize', 'interpolation') or 'bicubic',
    )


def imagenet_preprocessing(net: nn.Module) -> Preprocessing:
    """Return ImageNet's preprocessing, for a network of which nothing else is known."""
    channels = image_channels(net)
    return Preprocessing(
        (IMAGENET_CROP, IMAGENET_CROP),
        mean=_per_channel('mean', None, channels),
        std=_per_channel('std', None, channels),
    )


def _per_channel(name: str, values: Sequence[float] | None, channels: int) -> tuple[float, ...]:
    """Return a statistic of each channel; a single value holds for all, as in mmengine."""
    imagenet = {'mean': IMAGENET_MEAN, 'std': IMAGENET_STD}[name]
    if not values:
        average = round(sum(imagenet) / len(imagenet), 4)
        return imagenet if channels == len(imagenet) else (average,) * channels
    if len(values) not in (1, channels):
        raise ValueError(
            f'{name} of the data_preprocessor has {len(values)} values, but the backbone takes '
            f'images of {channels} channel{"s" * (channels > 1)}'
        )
    return tuple(values) * (channels // len(values))


def _image_size(supernet: ElasticBackbone, config: Mapping[str, Any]) -> int | Sequence[int]:
    training = config.get('train_dataloader', {}).get('dataset', {}).get('pipeline', ())
    return (
        supernet.subnet_cfg(supernet.space.largest).get('img_size')
        or _setting(_transforms(config.get('knn_pipeline', ())), 'CenterCrop', 'size')
        or _setting(_transforms(training), 'MultiCrop', 'global_size')
        or IMAGENET_CROP
    )


def _crop_ratio(transforms: Sequence[Mapping[str, Any]]) -> float:
    resized = _setting(transforms, 'Resize', 'size')
    crop = _setting(transforms, 'CenterCrop', 'size')
    return crop / resized if isinstance(crop, int) and isinstance(resized, int) else 1.0


def _transforms(pipeline: Any) -> Iterator[Mapping[str, Any]]:
    return (step for step in pipeline if isinstance(step, Mapping))


def _setting(transforms: Any, kind: str, name: str) -> Any:
    """Return a setting of the first transform of one kind, from whichever library."""
    named = (step for step in transforms if str(step.get('type')).split('/')[-1] == kind)
    found: Mapping[str, Any] = next(named, {})
    return found.get(name)
