"""The multi-crop augmentation of the paper."""

import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from mmcv import bgr2rgb
from mmcv.transforms import BaseTransform
from PIL import Image
from torchvision.transforms import RandomResizedCrop, v2
from torchvision.transforms.v2 import Transform

from poa_mm.datasets.samplers import SampleIndex
from poa_mm.registry import TRANSFORMS

Box = tuple[int, int, int, int]  # top, left, height, width in pixels of the full image

ASPECTS = (3 / 4, 4 / 3)  # width over height that a crop is squeezed by
REDUCING_GAP = 2  # as in Pillow's thumbnails: what is left to resizing, which filters better
FLIP_PROB = 0.5
JITTER_PROB = 0.8
SOLARIZE_THRESHOLD = 128
MODES = {3: 'RGB', 1: 'L'}  # Pillow's, by number of channels


@TRANSFORMS.register_module()
class MultiCrop(BaseTransform):
    """Cut two global and several local crops from an image and augment each (App. C.5, Table 6).

    Every crop passes a random resized crop (bicubic), a horizontal flip, colour jitter, grayscale
    and Gaussian blur; global crop 2 also solarisation. Under
    :class:`~poa_mm.datasets.PositionSampler` the crops of an image are a function of its position
    in the run, so a resumed run goes on to the bit, whatever the workers. Under another sampler
    they come from torch's generator, which mmengine seeds in every loader worker.

    Where the crops lie is drawn before all else, so that :class:`~poa_mm.datasets.ImageFolder` can
    ask how large the image must be for them, and read large photographs at a reduced scale.

    The authors' code blurs with the complement of the probabilities that their paper states; give
    ``blur_prob=(0.0, 0.9, 0.5)`` to train as they did.

    **Required Keys:**

    - img (H, W, 3, uint8, BGR)

    **Modified Keys:**

    - img (list of ``2 + num_local`` uint8 tensors, RGB or grey: global crop 1 and 2
      (C, height, width) of ``global_size``, then the local crops of ``local_size``)

    **Deleted Keys:**

    - img_shape
    - reduced_from (full height and width of an image that was read at a reduced scale)

    Args:
        global_size: Side of the global crops in pixels, or height and width. Crops that are not
            square are cut out in their own shape, not squeezed into it.
        local_size: The same of the local crops.
        num_local: Number of local crops.
        global_scale: Range of a global crop's share of the image area.
        local_scale: Range of a local crop's share of the image area.
        color_jitter: Strengths for brightness, contrast, saturation and hue.
        gray_prob: Probability of grayscale for every crop.
        solarize_prob: Probability of solarisation for global crop 2.
        blur_prob: Probability of blur for global crop 1, global crop 2 and the local crops.
        blur_sigma: Range of the blur's standard deviation in pixels. The kernel reaches two of the
            largest standard deviations to either side: 9 pixels for 2.0, as in DINOv2. Crops of
            28 or 32 pixels want a smaller range.
        channels: 3 for RGB, or 1 for grey crops, as a backbone with ``in_channels=1`` takes them.

    Raises:
        ValueError: An argument out of its range (named in the message).
        TypeError: The image is not an (H, W, 3) uint8 array.
    """

    def __init__(
        self,
        global_size: int | Sequence[int] = 224,
        local_size: int | Sequence[int] = 96,
        num_local: int = 8,
        global_scale: Sequence[float] = (0.32, 1.0),
        local_scale: Sequence[float] = (0.05, 0.32),
        color_jitter: Sequence[float] = (0.4, 0.4, 0.2, 0.1),
        gray_prob: float = 0.2,
        solarize_prob: float = 0.2,
        blur_prob: Sequence[float] = (1.0, 0.1, 0.5),
        blur_sigma: Sequence[float] = (0.1, 2.0),
        channels: int = 3,
    ) -> None:
        if channels not in MODES:
            raise ValueError(f'channels must be one of {tuple(MODES)}, got {channels}')
        if num_local < 0:
            raise ValueError(f'num_local must be at least 0, got {num_local}')
        if len(color_jitter) != 4:
            raise ValueError(
                'color_jitter must be four strengths (brightness, contrast, saturation, hue), '
                f'got {color_jitter}'
            )
        if len(blur_prob) != 3 or not all(0 <= prob <= 1 for prob in blur_prob):
            raise ValueError(f'blur_prob must be three probabilities, got {blur_prob}')
        for name, prob in (('gray_prob', gray_prob), ('solarize_prob', solarize_prob)):
            if not 0 <= prob <= 1:
                raise ValueError(f'{name} must be a probability, got {prob}')
        _check_range('global_scale', global_scale, upper=1.0)
        _check_range('local_scale', local_scale, upper=1.0)
        _check_range('blur_sigma', blur_sigma, upper=math.inf)
        kernel = 2 * math.ceil(2 * blur_sigma[1]) + 1
        for name, size in (('global_size', global_size), ('local_size', local_size)):
            if min(_sides(name, size)) <= kernel // 2:
                raise ValueError(
                    f'{name}={size} is too small for blur_sigma={blur_sigma}: '
                    f'its {kernel}-pixel kernel needs crops of at least {kernel // 2 + 1}'
                )

        self._arguments = {
            'global_size': global_size,
            'local_size': local_size,
            'num_local': num_local,
            'global_scale': global_scale,
            'local_scale': local_scale,
            'color_jitter': color_jitter,
            'gray_prob': gray_prob,
            'solarize_prob': solarize_prob,
            'blur_prob': blur_prob,
            'blur_sigma': blur_sigma,
            'channels': channels,
        }
        self.channels = channels
        self.mode = MODES[channels]
        self.num_local = num_local
        self.global_size = _sides('global_size', global_size)  # height and width
        self.local_size = _sides('local_size', local_size)
        jitter = v2.ColorJitter(*color_jitter)
        blur = v2.GaussianBlur(kernel, tuple(blur_sigma))
        color = (v2.RandomApply([jitter], JITTER_PROB), v2.RandomGrayscale(gray_prob))
        solarize = v2.RandomSolarize(SOLARIZE_THRESHOLD, solarize_prob)
        self.global_1 = _augmentations(color, blur, blur_prob[0])
        self.global_2 = _augmentations(color, blur, blur_prob[1])
        self.global_2.transforms.append(solarize)
        self.local = _augmentations(color, blur, blur_prob[2])
        self._sizes = [self.global_size] * 2 + [self.local_size] * num_local
        self._scales = [list(global_scale)] * 2 + [list(local_scale)] * num_local

    def reduction(self, index: object, height: int, width: int) -> int:
        """Return how many times smaller an image may be read: crops keep twice their final size.

        Args:
            index: ``sample_idx`` of the image.
            height: In pixels, as are all sides.
            width: Likewise.

        Returns:
            1, 2, 4 or 8, for the crops that :meth:`transform` cuts from it next.
        """
        if min(height, width) < 2 * REDUCING_GAP * min(map(min, self._sizes)):
            return 1
        with torch.random.fork_rng(devices=[]), _random_numbers(index):
            boxes = self._boxes(height, width)
        room = min(
            side / wanted
            for box, size in zip(boxes, self._sizes, strict=True)
            for side, wanted in zip(box[2:], size, strict=True)
        )
        return next((factor for factor in (8, 4, 2) if REDUCING_GAP * factor <= room), 1)

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Replace the image by its crops."""
        image = results['img']
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise TypeError(
                f'MultiCrop takes (H, W, 3) uint8 images, got {image.shape} {image.dtype}'
            )
        full_shape = results.pop('reduced_from', image.shape[:2])
        photo = Image.fromarray(bgr2rgb(image))
        photo = photo if self.mode == 'RGB' else photo.convert(self.mode)
        augmentations = [self.global_1, self.global_2, *[self.local] * self.num_local]
        with _random_numbers(results.get('sample_idx')):
            boxes = self._boxes(*full_shape)
            results['img'] = [
                augment(_resized_crop(photo, box, full_shape, size))
                for augment, box, size in zip(augmentations, boxes, self._sizes, strict=True)
            ]
        results.pop('img_shape', None)
        return results

    def _boxes(self, height: int, width: int) -> list[Box]:
        """Draw the box of each crop."""
        image = torch.empty(1, height, width, device='meta')  # its shape is all that is asked for
        drawn = []
        for scale, (rows, columns) in zip(self._scales, self._sizes, strict=True):
            aspects = [aspect * columns / rows for aspect in ASPECTS]
            drawn.append(RandomResizedCrop.get_params(image, scale, aspects))
        return drawn

    def __repr__(self) -> str:
        arguments = ', '.join(f'{name}={value}' for name, value in self._arguments.items())
        return f'{type(self).__name__}({arguments})'


@contextmanager
def _random_numbers(index: object) -> Iterator[None]:
    """Draw from the random stream of one image, if it has one; restore torch's generator."""
    if not isinstance(index, SampleIndex):
        yield
        return
    state = torch.get_rng_state()
    # The CPU's generator alone: torch.manual_seed would seed GPUs as well.
    torch.default_generator.manual_seed(index.seed())
    try:
        yield
    finally:
        torch.set_rng_state(state)


def _sides(name: str, size: int | Sequence[int]) -> tuple[int, int]:
    """Return height and width of crops."""
    sides = (size, size) if isinstance(size, int) else tuple(size)
    if len(sides) != 2 or not all(isinstance(side, int) for side in sides):
        raise ValueError(f'{name} must be a side in pixels, or height and width, got {size}')
    return sides[0], sides[1]


def _resized_crop(
    image: Image.Image, box: Box, full_shape: tuple[int, int], size: tuple[int, int]
) -> Image.Image:
    """Cut ``box``, in pixels of ``full_shape`` before reduction, and resize it to ``size``."""
    top, left, height, width = box
    down, right = image.height / full_shape[0], image.width / full_shape[1]  # 1 unless reduced
    x0, x1 = left * right, min((left + width) * right, image.width)
    y0, y1 = top * down, min((top + height) * down, image.height)
    x, y = math.floor(x0), math.floor(y0)
    with warnings.catch_warnings():  # on its size there was a word when it was read
        warnings.simplefilter('ignore', Image.DecompressionBombWarning)
        part = image.crop((x, y, math.ceil(x1), math.ceil(y1)))
    inner = (x0 - x, y0 - y, x1 - x, y1 - y)
    return part.resize(size[::-1], Image.Resampling.BICUBIC, inner)


def _augmentations(color: Sequence[Transform], blur: Transform, blur_prob: float) -> v2.Compose:
    """Return the augmentations of all crops: a PIL image becomes a (C, H, W) uint8 tensor."""
    return v2.Compose(
        [
            v2.RandomHorizontalFlip(FLIP_PROB),
            *color,
            # Pillow is the faster of torchvision's backends up to here, tensors from here on.
            v2.PILToTensor(),
            v2.RandomApply([blur], blur_prob),
        ]
    )


def _check_range(name: str, bounds: Sequence[float], upper: float) -> None:
    if len(bounds) != 2 or not 0 < bounds[0] <= bounds[1] <= upper:
        raise ValueError(
            f'{name} must be (low, high) with 0 < low <= high <= {upper}, got {bounds}'
        )
