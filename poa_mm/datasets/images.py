"""Decode image files into what OpenMMLab pipelines expect: 3-channel uint8 BGR arrays."""

import io
import logging
import stat
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from mmcv import rgb2bgr
from mmengine import fileio
from mmengine.logging import print_log
from PIL import Image, UnidentifiedImageError

from poa_mm.datasets.metadata import read_exif, turn_of, without_metadata
from poa_mm.datasets.pixels import to_rgb
from poa_mm.errors import InputError, printable

Note = Callable[[str, str], None]
"""Takes what is odd about an image that can be read: what it is about, and the text. It is about a
file, or about a kind that files of one data set mostly share."""
Reduction = Callable[[int, int], int]
"""Takes height and width of an upright image; how many times smaller it may be read: 1, 2, 4, 8."""

SCALED = 'samples of more than eight bits'  # what notes are about
MAX_ASPECT = 100  # long side over short side
SWAPPING = (
    Image.Transpose.TRANSPOSE,
    Image.Transpose.TRANSVERSE,
    Image.Transpose.ROTATE_90,
    Image.Transpose.ROTATE_270,
)


class UnreadableImageError(InputError):
    """A file does not hold a complete image."""


def log_note(_about: str, text: str) -> None:
    """Warn in the current log, every time."""
    print_log(text, logger='current', level=logging.WARNING)


def unreadable(path: str, error: Exception) -> UnreadableImageError:
    """Return the error for a file, with the reason in words."""
    if isinstance(error, UnidentifiedImageError):  # Pillow's own words name a memory address
        reason = 'unknown format'
    elif isinstance(error, Image.DecompressionBombError):  # or an attack
        reason = f'more than {2 * (Image.MAX_IMAGE_PIXELS or 0)} pixels (twice MAX_IMAGE_PIXELS)'
    else:
        reason = printable(str(error) or type(error).__name__)
    return UnreadableImageError(f'{printable(path)} cannot be read as an image: {reason}')


def read_image(
    path: str, note: Note = log_note, backend_args: dict[str, object] | None = None
) -> np.ndarray:
    """Decode an image file; a truncated one is an error, not an image with a grey part.

    OpenCV, mmcv's default decoder, fills the missing part of a truncated JPEG with grey and only
    prints a warning, hence Pillow. Damaged metadata is ignored.

    Args:
        path: File in any format and place that Pillow and :mod:`mmengine.fileio` know.
        note: Told of images of more pixels than ``PIL.Image.MAX_IMAGE_PIXELS``, and of samples
            whose white level is a guess.
        backend_args: Those of :func:`mmengine.fileio.get`.

    Returns:
        (H, W, 3) uint8 BGR array, upright according to the EXIF orientation. Grey, palette, CMYK
        and Lab images become RGB, alpha channels are dropped, of several frames the first is taken.
        Samples of more than eight bits are scaled as in
        :func:`~poa_mm.datasets.pixels.to_eight_bits`.

    Raises:
        UnreadableImageError: The file is missing, damaged or no image, has floating-point pixels
            (they have no defined white level), or more than twice ``MAX_IMAGE_PIXELS``; the message
            names it. Nothing else is raised.
    """
    return read_reduced(path, None, note, backend_args)[0]


def read_reduced(
    path: str,
    reduction: Reduction | None,
    note: Note = log_note,
    backend_args: dict[str, object] | None = None,
) -> tuple[np.ndarray, tuple[int, int]]:
    """Decode an image file; a JPEG at a reduced scale if that is enough, many times faster.

    Args:
        path: See :func:`read_image`.
        reduction: How many times smaller the image may come; None for its full size.
        note: See :func:`read_image`.
        backend_args: Likewise.

    Returns:
        The image as :func:`read_image` returns it, and its full height and width.

    Raises:
        UnreadableImageError: See :func:`read_image`.
    """
    notes: list[tuple[str, str]] = []
    try:
        data = _contents(path, backend_args)
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # Pillow's do not name the file
            rgb, size = _decode(data, reduction, notes)
        bgr = rgb2bgr(np.asarray(rgb))
    except Exception as error:  # decoders of damaged files raise whatever there is
        raise unreadable(path, error) from error
    for about, text in notes:
        note(about or path, f'{printable(path)} {text}')
    return bgr, size


def add_image(results: dict[str, Any], image: np.ndarray) -> dict[str, Any]:
    """Set what mmcv's ``LoadImageFromFile`` sets: ``img``, ``img_shape`` and ``ori_shape``."""
    results.update(img=image, img_shape=image.shape[:2], ori_shape=image.shape[:2])
    return results


def middle_of(image: np.ndarray, path: str, note: Note = log_note) -> np.ndarray:
    """Return the middle of an image that is extremely long, any other unchanged.

    Pipelines that resize the short side to 256 pixels would make 2 gigapixels of 30000 x 1 pixels,
    and then cut the middle out.

    Args:
        image: (H, W, C).
        path: The file that it comes from.
        note: Told of an image that is cut.
    """
    height, width = image.shape[:2]
    longest = MAX_ASPECT * min(height, width)
    if max(height, width) <= longest:
        return image
    longest -= (max(height, width) - longest) % 2  # as much on both sides
    top, left = (max(0, side - longest) // 2 for side in (height, width))
    image = image[top : top + longest, left : left + longest]
    text = f'{printable(path)} has {width} x {height} pixels; taken are {image.shape[1]} x '
    note(f'{path}/shape', f'{text}{image.shape[0]} in its middle')
    return np.ascontiguousarray(image)


def _contents(path: str, backend_args: dict[str, object] | None) -> bytes:
    local = '://' not in path and backend_args is None
    if local and not stat.S_ISREG(Path(path).stat().st_mode):
        raise ValueError('no regular file')  # opening a pipe would wait for ever
    data = fileio.get(path, backend_args=backend_args)
    if not data:
        raise ValueError('empty file')
    return data


def _decode(
    data: bytes, reduction: Reduction | None, notes: list[tuple[str, str]]
) -> tuple[Image.Image, tuple[int, int]]:
    """Return the upright RGB image of a file, and its full height and width."""
    try:
        return _pixels(data, reduction, notes)
    except Exception:
        bare, exif = without_metadata(data)
        if bare == data:
            raise
        try:  # whether it is the metadata that are damaged
            return _pixels(bare, reduction, notes, exif)
        except Exception:
            pass
        raise


def _pixels(
    data: bytes,
    reduction: Reduction | None,
    notes: list[tuple[str, str]],
    exif: bytes | None = None,
) -> tuple[Image.Image, tuple[int, int]]:
    """Decode, with ``exif`` in place of the file's EXIF data."""
    with Image.open(io.BytesIO(data)) as image:
        get_exif = image.getexif if exif is None else partial(read_exif, exif)
        size = None
        if reduction and image.format in ('JPEG', 'MPO'):
            size = _upright_size(image, turn_of(get_exif))
            factor = reduction(*size)
            # Pillow takes the largest of 1, 2, 4 and 8 that leaves both sides at least this long.
            image.draft(None, (image.width // factor, image.height // factor))
        wide = ';16' in str(image.tile)
        limit = Image.MAX_IMAGE_PIXELS
        if limit and image.width * image.height > limit:
            pixels = image.width * image.height / 1e6
            notes.append(('', f'has {pixels:.0f} million pixels: slow to read'))
        image.load()
        rgb, how = to_rgb(image, data, wide)
        if how:
            notes.append((SCALED, f'has {how}'))
        turn = turn_of(get_exif)
    if turn is not None:
        rgb = rgb.transpose(turn)
    return rgb, size or rgb.size[::-1]


def _upright_size(image: Image.Image, turn: Image.Transpose | None) -> tuple[int, int]:
    """Return height and width of an image after rotation."""
    return image.size if turn in SWAPPING else image.size[::-1]
