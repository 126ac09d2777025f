"""Hold all images of a data set in one array."""

from abc import ABCMeta, abstractmethod
from typing import Any

import numpy as np
from mmcv import gray2bgr
from mmpretrain.datasets import BaseDataset

from poa_mm.datasets.images import add_image


class ArrayDataset(BaseDataset, metaclass=ABCMeta):
    """Labelled images small enough to live in one uint8 array.

    Only row numbers and labels go through mmengine's ``data_list``. The pixels stay in
    ``self.images``, which forked loader workers share with their parent.

    Args:
        split: ``'train'`` or ``'test'``.
        **kwargs: Arguments of :class:`mmengine.dataset.BaseDataset` (``pipeline``, ``test_mode``,
            ``indices`` …).

    Raises:
        ValueError: Unknown ``split``.
    """

    SPLITS = ('train', 'test')

    images: np.ndarray
    """(N, H, W, 3) BGR or (N, H, W) grey, uint8."""

    def __init__(self, split: str, **kwargs: Any) -> None:
        if split not in self.SPLITS:
            raise ValueError(f'unknown split {split!r}: choose one of {self.SPLITS}')
        self.split = split
        super().__init__(ann_file='', **kwargs)

    @abstractmethod
    def load_arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """Read the images (see :attr:`images`) and their (N,) integer labels."""

    def load_data_list(self) -> list[dict]:
        """Load the arrays, and list one ``dict(row, gt_label)`` for each image."""
        self.images, labels = self.load_arrays()
        return [{'row': row, 'gt_label': label} for row, label in enumerate(labels.tolist())]

    def prepare_data(self, idx: int) -> Any:
        """Pass a copy of the image, (H, W, 3) in BGR order, to the pipeline."""
        results = self.get_data_info(idx)
        image = self.images[results.pop('row')]
        return self.pipeline(
            add_image(results, gray2bgr(image) if image.ndim == 2 else image.copy())
        )

    def extra_repr(self) -> list[str]:
        """Name the split; there is neither an annotation file nor an image prefix."""
        return [f'Split: \t{self.split}']
