"""Read the labels in a mask file."""

import io
from collections.abc import Mapping
from dataclasses import dataclass

import mmcv
import numpy as np
from mmengine import fileio
from PIL import Image, UnidentifiedImageError

from poa_mm.datasets.metadata import turn_of

LABELS = 256  # masks are loaded with 8 bits a pixel
INDEXED = ('L', 'P')  # modes with a number of 8 bits a pixel


class MaskError(Exception):
    """A mask cannot be used.

    Args:
        kind: What all masks with that fault have in common, as ``cannot be read``.
        detail: What follows the path of this one.
    """

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(kind, detail)
        self.kind = kind
        self.detail = detail


@dataclass(frozen=True)
class Mask:
    """The numbers in a mask.

    Args:
        shape: Height, width and, if it is not a mask, channels.
        counts: (256,) int64, pixels of each number in the file; zero if pixels have several
            numbers.
        lossy: Whether it is a JPEG, whose compression changes numbers.
    """

    shape: tuple[int, ...]
    counts: np.ndarray
    lossy: bool = False


def read_mask(path: str, backend: str, backend_args: dict[str, object] | None = None) -> Mask:
    """Count the numbers in a mask as mmseg's ``LoadAnnotations`` loads them.

    Args:
        path: A file in any place that :mod:`mmengine.fileio` knows.
        backend: Which decoder loads it: ``imdecode_backend`` of ``LoadAnnotations``.
        backend_args: Options of :mod:`mmengine.fileio`.

    Raises:
        MaskError: The file is damaged, turned by an EXIF orientation, or holds numbers that do not
            fit into 8 bits.
    """
    try:
        content = fileio.get(path, backend_args=backend_args)
        if backend == 'pillow':
            return _from_pillow(content)
        array = mmcv.imfrombytes(content, flag='unchanged', backend=backend)
        if array is None:
            raise ValueError(f'{backend} does not know the format, or the file is damaged')
        return _from_array(array, str(array.dtype))
    except MaskError:
        raise
    except Exception as error:  # decoders raise any kind
        # Pillow's message contains a memory address.
        reason = 'unknown format' if isinstance(error, UnidentifiedImageError) else error
        raise MaskError('cannot be read', f': {reason}') from error


def _from_pillow(content: bytes) -> Mask:
    with Image.open(io.BytesIO(content)) as image:
        lossy = image.format in ('JPEG', 'MPO')
        if image.mode in INDEXED:
            counts = np.array(image.histogram(), dtype=np.int64)
            mask = Mask((image.height, image.width), counts, lossy)
        else:
            mask = _from_array(np.asarray(image), f'mode {image.mode}', lossy)
        if turn_of(image.getexif) is not None:
            raise MaskError(
                'have an EXIF orientation, by which images are turned and masks are not',
                ': save them upright',
            )
        return mask


def _from_array(array: np.ndarray, kind: str, lossy: bool = False) -> Mask:
    """Count the numbers in an array, of which mmseg keeps 8 bits."""
    array = array.squeeze()
    if array.ndim != 2:
        return Mask(array.shape, np.zeros(LABELS, dtype=np.int64), lossy)
    with np.errstate(invalid='ignore'):
        labels = array.astype(np.uint8)
    if (labels != array).any():
        raise MaskError(
            'have more than 8 bits a pixel, which would be cut off',
            f', of {kind}: save them with modes L or P',
        )
    return Mask(array.shape, np.bincount(labels.ravel(), minlength=LABELS), lossy)


def label_table(reduce_zero_label: bool, label_map: Mapping[int, int] | None) -> np.ndarray:
    """Return the label that mmseg's ``LoadAnnotations`` makes of each number in a mask.

    Args:
        reduce_zero_label: 1 becomes 0 and so on, 0 becomes 255.
        label_map: What then becomes of a number.

    Returns:
        (256,) int64, the label of each number.
    """
    table: np.ndarray = np.arange(LABELS)
    if reduce_zero_label:
        table = np.where(table == 0, LABELS, table) - 1
        table[table == LABELS - 2] = LABELS - 1
    loaded = table.copy()
    for old, new in (label_map or {}).items():
        table[loaded == old] = new
    return table
