"""Decoding of image files into what OpenMMLab pipelines expect: 3-channel uint8 BGR arrays."""

import io
import struct
from typing import Any

import numpy as np
from mmcv import rgb2bgr
from mmengine import fileio
from PIL import Image, ImageOps, UnidentifiedImageError

# What Pillow's decoders raise on damaged or hostile files. OSError covers missing, unidentified
# and truncated ones.
_DECODER_ERRORS = (OSError, SyntaxError, ValueError, EOFError, struct.error)


class UnreadableImageError(ValueError):
    """A file that should hold an image does not hold a complete one."""


def read_image(path: str) -> np.ndarray:
    """Decode a whole image file; a truncated one is an error, not a picture with a grey rest.

    OpenCV, mmcv's default decoder, fills what a truncated JPEG lacks with grey and only prints a
    warning, hence Pillow.

    Args:
        path: File in any format and place that Pillow and :mod:`mmengine.fileio` know.

    Returns:
        (H, W, 3) uint8 BGR array, upright according to the EXIF orientation. Grey, palette and
        CMYK images become colour, an alpha channel is dropped, 16-bit samples keep their upper
        eight bits.

    Raises:
        UnreadableImageError: The file is missing, truncated or no image; the message names it.
    """
    try:
        with Image.open(io.BytesIO(fileio.get(path))) as image:
            rgb = _to_rgb(ImageOps.exif_transpose(image))
    except (*_DECODER_ERRORS, Image.DecompressionBombError) as error:
        # Pillow's own words name a memory address.
        reason = 'unknown format' if isinstance(error, UnidentifiedImageError) else error
        raise UnreadableImageError(f'{path} cannot be read as an image: {reason}') from error
    return rgb2bgr(np.asarray(rgb))


def add_image(results: dict[str, Any], image: np.ndarray) -> dict[str, Any]:
    """Set what mmcv's ``LoadImageFromFile`` sets: ``img``, ``img_shape`` and ``ori_shape``."""
    results.update(img=image, img_shape=image.shape[:2], ori_shape=image.shape[:2])
    return results


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith('I'):  # 16-bit grey, which Pillow's own conversion saturates at 255
        samples = np.clip(np.asarray(image), 0, 2**16 - 1)
        image = Image.fromarray((samples >> 8).astype(np.uint8))
    elif image.mode == 'F':
        raise ValueError('floating-point pixels have no defined white level')
    elif 'transparency' in image.info:
        image = image.convert('RGBA')  # Pillow warns about the direct way from a palette to RGB
    return image.convert('RGB')
