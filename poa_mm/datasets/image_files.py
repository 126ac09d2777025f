"""Read the images that a data set lists; in training, skip files that cannot be read."""

import logging
from abc import ABCMeta, abstractmethod
from functools import partial
from typing import Any

import torch
from mmengine.logging import print_log
from mmpretrain.datasets import BaseDataset

from poa_mm.datasets.images import (
    UnreadableImageError,
    add_image,
    middle_of,
    read_reduced,
)
from poa_mm.datasets.notes import FileNotes
from poa_mm.datasets.samplers import SampleIndex
from poa_mm.errors import printable


class ImageFiles(BaseDataset, metaclass=ABCMeta):
    """Images in files of their own, decoded as :func:`~poa_mm.datasets.read_image` does.

    An unreadable file met in training is named once in a warning, skipped from then on (another
    sample is drawn in its place, as a function of the position under
    :class:`~poa_mm.datasets.PositionSampler`) and counted. With ``test_mode=True`` it is an error,
    since an evaluation must not replace samples silently.

    In training a large JPEG comes at a reduced scale if the first transform of the pipeline says
    that this is enough, as :class:`~poa_mm.datasets.MultiCrop` does. Of an image that is more than
    100 times as long as wide, the middle comes.

    Args:
        *args: Those of the next class, as are ``kwargs``: subclasses name this one before a data
            set of mmpretrain.
        **kwargs: Arguments of :class:`mmpretrain.datasets.BaseDataset`.

    Raises:
        UnreadableImageError: In test mode, an unreadable image; while training, more than
            ``max_refetch`` images drawn in a row were unreadable.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._failures_in_a_row = 0
        self._failed = 0
        self._unreadable = torch.zeros(0, dtype=torch.bool)
        self._notes = FileNotes()
        super().__init__(*args, **kwargs)

    @abstractmethod
    def list_images(self) -> list[dict]:
        """List the images, each as ``dict(img_path[, gt_label])``."""

    @property
    def num_unreadable(self) -> int:
        """Number of unreadable images found so far by this process and its loader workers."""
        return int(self._unreadable.sum())

    def load_data_list(self) -> list[dict]:
        """List the images, each as ``dict(img_path, row[, gt_label])``."""
        data_list = self.list_images()
        for row, info in enumerate(data_list):
            info['row'] = row
        # Shared memory: what one loader worker finds broken, the others need not find and name.
        self._unreadable = torch.zeros(len(data_list), dtype=torch.bool).share_memory_()
        return data_list

    def prepare_data(self, idx: int) -> Any:
        """Decode the image and run the pipeline; return None (draw another) if it is unreadable."""
        results = self.get_data_info(idx)
        row, path = results.pop('row'), results['img_path']
        if self.test_mode:
            return self.pipeline(self._read(results))
        if self._unreadable[row]:
            return self._failure(idx, path)
        try:
            self._read(results)
        except UnreadableImageError as error:
            self._report(row, error)
            return self._failure(idx, path)
        self._failures_in_a_row = 0
        return self.pipeline(results)

    def _read(self, results: dict[str, Any]) -> dict[str, Any]:
        """Add the image, at a reduced scale if the pipeline says which scale it needs."""
        path = results['img_path']
        first = next(iter(self.pipeline.transforms), None)
        reduction = None if self.test_mode else getattr(first, 'reduction', None)
        if reduction is not None:
            reduction = partial(reduction, results['sample_idx'])
        image, full_shape = read_reduced(path, reduction, self._notes)
        if full_shape != image.shape[:2]:
            add_image(results, image).update(ori_shape=full_shape, reduced_from=full_shape)
            return results
        return add_image(results, middle_of(image, path, self._notes))

    def _rand_another(self) -> int:
        """Return the index to try after one has failed."""
        if isinstance(self._failed, SampleIndex):
            return self._failed.another(len(self), self._failures_in_a_row)
        return super()._rand_another()

    def _report(self, row: int, error: UnreadableImageError) -> None:
        if self._unreadable[row]:  # another worker met it in the meantime
            return
        self._unreadable[row] = True
        print_log(
            f'{error}. Skipped from now on ({self.num_unreadable} of {len(self._unreadable)} '
            'images unreadable so far)',
            logger='current',
            level=logging.WARNING,
        )

    def _failure(self, index: int, path: str) -> None:
        """Request another image; raise after more than ``max_refetch`` failures in a row."""
        self._failed = index
        self._failures_in_a_row += 1
        if self._failures_in_a_row > self.max_refetch:
            raise UnreadableImageError(
                f'no readable image in {self._failures_in_a_row} draws from '
                f'{printable(self.img_prefix)} ({self.num_unreadable} of {len(self._unreadable)} '
                f'are known to be unreadable); the last was {printable(path)}'
            )
