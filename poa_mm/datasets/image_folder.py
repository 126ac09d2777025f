"""Any folder of images, with tolerance for broken files during training."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine import fileio
from mmengine.logging import print_log
from mmpretrain.datasets import CustomDataset

from poa_mm.datasets.images import UnreadableImageError, add_image, read_image
from poa_mm.datasets.samplers import SampleIndex
from poa_mm.registry import DATASETS

EXTENSIONS = ('.bmp', '.jpeg', '.jpg', '.pgm', '.png', '.ppm', '.tif', '.tiff', '.webp')


@DATASETS.register_module()
class ImageFolder(CustomDataset):
    """All images below a folder: flat or nested to any depth, no metadata files.

    An unreadable file met in training is named once in a warning, skipped from then on (another
    sample is drawn in its place, as a function of the position under
    :class:`~poa_mm.datasets.PositionSampler`) and counted. With ``test_mode=True`` it is an error,
    since an evaluation must not replace samples silently.

    Args:
        data_root: The folder. ``~`` stands for the home folder.
        with_label: Take the sub-folders directly below ``data_root`` as classes, in sorted order.
            Without labels (the default) the folder structure means nothing.
        extensions: What counts as an image, in any letter case.
        **kwargs: Arguments of :class:`mmpretrain.datasets.CustomDataset` (``ann_file`` for a
            subset, ``pipeline``, ``test_mode`` …).

    Raises:
        FileNotFoundError: There is no such folder.
        ValueError: The folder holds no image; or, while training, more than ``max_refetch``
            images drawn in a row were unreadable.
        UnreadableImageError: In test mode, an unreadable image.
    """

    def __init__(
        self,
        data_root: str | Path,
        with_label: bool = False,
        extensions: Sequence[str] = EXTENSIONS,
        **kwargs: Any,
    ) -> None:
        self._failures_in_a_row = 0
        self._failed = 0
        self._unreadable = torch.zeros(0, dtype=torch.bool)
        super().__init__(
            data_root=str(Path(data_root).expanduser()),
            with_label=with_label,
            extensions=sorted(extensions),
            **kwargs,
        )

    @property
    def num_unreadable(self) -> int:
        """Unreadable images met so far by this process and its loader workers together."""
        return int(self._unreadable.sum())

    def load_data_list(self) -> list[dict]:
        """List the images in sorted order, each as ``dict(img_path, row[, gt_label])``."""
        if not fileio.isdir(self.img_prefix):
            raise FileNotFoundError(f'there is no image folder {self.img_prefix}')
        try:
            data_list = super().load_data_list()
        except RuntimeError as error:
            place = 'class sub-folders of ' if self.with_label else ''
            raise ValueError(
                f'no images in {place}{self.img_prefix}: files count if their names end in one of '
                f'{", ".join(sorted(self.extensions))}'
            ) from error
        for row, info in enumerate(data_list):
            info['row'] = row
        # Shared memory: what one loader worker finds broken, the others need not find and name.
        self._unreadable = torch.zeros(len(data_list), dtype=torch.bool).share_memory_()
        return data_list

    def prepare_data(self, idx: int) -> Any:
        """Decode the image and run the pipeline; None (draw another) if it is unreadable."""
        results = self.get_data_info(idx)
        row, path = results.pop('row'), results['img_path']
        if self.test_mode:
            return self.pipeline(add_image(results, read_image(path)))
        try:
            image = None if self._unreadable[row] else read_image(path)
        except UnreadableImageError as error:
            image = None
            self._report(row, error)
        if image is None:
            self._count_failure(path)
            self._failed = idx
            return None
        self._failures_in_a_row = 0
        return self.pipeline(add_image(results, image))

    def _rand_another(self) -> int:
        """Index to try in place of the one that has just failed."""
        if isinstance(self._failed, SampleIndex):
            return self._failed.another(len(self), self._failures_in_a_row)
        return super()._rand_another()

    def _report(self, row: int, error: UnreadableImageError) -> None:
        if self._unreadable[row]:  # another worker met it in the meantime
            return
        self._unreadable[row] = True
        print_log(
            f'{error}. Skipped from now on ({self.num_unreadable} of {len(self._unreadable)} '
            f'images unreadable so far)',
            logger='current',
            level=logging.WARNING,
        )

    def _count_failure(self, path: str) -> None:
        """Raise once more than ``max_refetch`` draws in a row were in vain."""
        self._failures_in_a_row += 1
        if self._failures_in_a_row > self.max_refetch:
            raise ValueError(
                f'no readable image in {self._failures_in_a_row} draws from {self.img_prefix} '
                f'({self.num_unreadable} of {len(self._unreadable)} are known to be unreadable); '
                f'the last was {path}'
            )
