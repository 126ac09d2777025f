"""Convert the modes of Pillow to 8-bit RGB."""

import cv2
import numpy as np
from PIL import Image, ImageCms
from PIL.TiffImagePlugin import TiffImageFile


def to_rgb(image: Image.Image, data: bytes, wide: bool) -> tuple[Image.Image, str]:
    """Convert a decoded image of any mode.

    Args:
        image: The image, of which all pixels are loaded.
        data: The file that it comes from.
        wide: Its samples have 16 bits in the file.

    Returns:
        Image of mode RGB; and how its samples were taken, if their white level is a guess, or ''.

    Raises:
        ValueError: Floating-point pixels.
    """
    if image.mode.startswith('I'):
        grey, how = to_eight_bits(_integers(image), _declared_bits(image))
        return Image.fromarray(grey).convert('RGB'), how
    if image.mode == 'F':
        raise ValueError('floating-point pixels have no defined white level')
    if image.mode == 'LAB':
        return _from_lab(image), ''
    image.info.pop('transparency', None)  # alpha is dropped
    rgb = image if image.mode == 'RGB' else image.convert('RGB')  # which would copy
    return _with_lower_bits(rgb, data) if wide else (rgb, '')


def to_eight_bits(samples: np.ndarray, bits: int | None = None) -> tuple[np.ndarray, str]:
    """Scale integers so that white becomes 255.

    Cameras, scanners and DICOM have 8, 10, 12 or 14 bits and store them in 16 or 32, mostly without
    saying so; taken for all that could be stored they turn black. White is therefore 2^bits - 1
    with the smallest even number of bits, 8 or more, that holds the largest sample of the file: a
    function of that file alone, under which the largest sample is never darker than a quarter of
    white, and 16 used bits keep their upper eight. Negative samples (CT) follow no such convention:
    the smallest of the file becomes 0, the largest 255.

    Args:
        samples: Integers of any shape.
        bits: Number of bits, if the file says so.

    Returns:
        uint8, of the same shape; and in words how the samples were taken, or '' if as 16 bits or
        as the file says.
    """
    low, high = int(samples.min()), int(samples.max())
    if low < 0:
        scaled = (samples.astype(np.float64) - low) * (255 / max(high - low, 1))
        return np.rint(scaled).astype(np.uint8), f'samples from {low} to {high} taken as 0 to 255'
    how = ''
    if bits is None:
        bits = max(8, high.bit_length() + high.bit_length() % 2)
        how = f'samples up to {high} taken as {bits} bits' if high and bits != 16 else ''
    return (samples >> (bits - 8)).astype(np.uint8), how


def _integers(image: Image.Image) -> np.ndarray:
    samples = np.asarray(image)
    # Pillow has 32 bits with a sign only; TIFF's are without one unless it says so.
    unsigned = _tag(image, 339, 1) == 1 and _tag(image, 258, 16) == 32
    return samples.view(np.uint32) if unsigned else samples


def _declared_bits(image: Image.Image) -> int | None:
    """Return the bits of a sample if a TIFF declares fewer than 16."""
    bits = _tag(image, 258, 16)
    return bits if 8 < bits < 16 else None


def _tag(image: Image.Image, number: int, default: int) -> int:
    value = image.tag_v2.get(number, default) if isinstance(image, TiffImageFile) else default
    return value[0] if isinstance(value, tuple) else value


def _from_lab(image: Image.Image) -> Image.Image:
    lab, rgb = ImageCms.createProfile('LAB'), ImageCms.createProfile('sRGB')
    converted = ImageCms.applyTransform(image, ImageCms.buildTransform(lab, rgb, 'LAB', 'RGB'))
    assert converted is not None  # it is not done in place
    return converted


def _with_lower_bits(rgb: Image.Image, data: bytes) -> tuple[Image.Image, str]:
    """Scale 16-bit colours, of which Pillow keeps only the upper eight bits."""
    upper = np.asarray(rgb)
    if upper.max() >= 2**6:  # more than 14 of 16 bits are used
        return rgb, ''
    samples = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if samples is None or samples.dtype != np.uint16 or samples.ndim != 3:
        return rgb, ''
    samples = samples.astype(np.uint16, copy=False)[..., 2::-1]  # of BGR or BGRA
    if not np.array_equal(samples >> 8, upper):  # turned, or with alpha applied
        return rgb, ''
    pixels, how = to_eight_bits(samples)
    return Image.fromarray(np.ascontiguousarray(pixels)), how
