"""Load images of detection and segmentation with the reader of all other images."""

from typing import Any

import numpy as np
from mmcv.transforms import LoadImageFromFile

from poa_mm.datasets.images import (
    MAX_ASPECT,
    UnreadableImageError,
    add_image,
    read_image,
    unreadable,
)
from poa_mm.datasets.notes import FileNotes

OURS = ('color', 'cv2')  # mmcv's defaults, in whose place read_image comes


class LoadImage(LoadImageFromFile):
    """mmcv's ``LoadImageFromFile`` with :func:`~poa_mm.datasets.read_image` as its decoder.

    OpenCV, mmcv's decoder, fills the missing part of a truncated JPEG with grey, makes samples of
    12 bits black, and gives no reason if it cannot read a file. Detection and segmentation register
    this class under mmcv's name, by which inference tools find the transform that loads the image.

    **Required Keys:**

    - img_path

    **Modified Keys:**

    - img (H, W, 3, BGR; uint8, or float32 if asked for)
    - img_shape
    - ori_shape

    Args:
        ignore_empty: In place of an error, name an unreadable image in a warning and return None,
            for which data sets draw another image in training.
        *args: Those of mmcv's class, as are ``kwargs``. A ``color_type`` or ``imdecode_backend``
            other than the default leaves decoding to mmcv.

    Raises:
        UnreadableImageError: An unreadable image, or one more than 100 times as long as wide, of
            which resizing would leave nothing.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._notes = FileNotes()

    def transform(self, results: dict[str, Any]) -> dict[str, Any] | None:
        """Load the image."""
        path = results['img_path']
        try:
            if (self.color_type, self.imdecode_backend) != OURS or self.file_client_args:
                return self._load_with_mmcv(results)
            image = read_image(path, self._notes, self.backend_args)
            _check_shape(image, path)
        except UnreadableImageError as error:
            if not self.ignore_empty:
                raise
            self._notes(path, f'{error}. Another image takes its place')
            return None
        return add_image(results, image.astype(np.float32) if self.to_float32 else image)

    def _load_with_mmcv(self, results: dict[str, Any]) -> dict[str, Any] | None:
        try:
            return super().transform(results)
        except Exception as error:  # of which few name the file
            raise unreadable(results['img_path'], error) from error


def _check_shape(image: np.ndarray, path: str) -> None:
    height, width = image.shape[:2]
    if max(height, width) > MAX_ASPECT * min(height, width):
        reason = f'{width} x {height} pixels, more than {MAX_ASPECT} times as long as wide'
        raise unreadable(path, ValueError(reason))
