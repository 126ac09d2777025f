"""CIFAR-10 and CIFAR-100."""

from pathlib import Path
from typing import Any

import numpy as np
from mmengine import dist
from mmpretrain.datasets import CIFAR10, CIFAR100
from mmpretrain.datasets.utils import download_and_extract_archive

from poa_mm.datasets.images import add_image
from poa_mm.registry import DATASETS


class _BGRImages(CIFAR10):
    """Hand out images as all data sets of this package do: mmpretrain's are RGB.

    Args:
        data_root: Folder of the published archive or what is in it; downloaded into it if need be.
            ``~`` stands for the home folder.
        split: ``'train'`` (50,000 images) or ``'test'`` (10,000).
        download: Whether to download what is missing or damaged.
        **kwargs: Arguments of :class:`mmpretrain.datasets.BaseDataset` (``pipeline``,
            ``test_mode`` …).

    Raises:
        ValueError: An unknown split.
        FileNotFoundError: Files are missing or damaged, and could not be downloaded.
    """

    def __init__(
        self, data_root: str | Path, split: str = 'train', download: bool = True, **kwargs: Any
    ) -> None:
        if split not in ('train', 'test'):
            raise ValueError(f"unknown split {split!r}: choose one of ('train', 'test')")
        root = str(Path(data_root).expanduser())
        super().__init__(root, split=split, download=download, **kwargs)

    def load_data_list(self) -> list[dict]:
        """Load images, (32, 32, 3) BGR, and labels; download them first if need be."""
        reason = self._download() if dist.is_main_process() else None
        dist.barrier()
        if not self._check_integrity():
            raise FileNotFoundError(
                f'{Path(self.data_root) / self.base_folder} is missing or damaged, and '
                f'{reason or "the main process could not mend it"}: put {self.filename} of '
                f'{self.url} into {self.data_root}'
            ) from reason
        data_list = super().load_data_list()
        for info in data_list:
            info['img'] = np.ascontiguousarray(info['img'][..., ::-1])
        return data_list

    def prepare_data(self, idx: int) -> Any:
        """Pass the image to the pipeline."""
        results = self.get_data_info(idx)
        return self.pipeline(add_image(results, results['img']))

    def _download(self) -> Exception | None:
        """Download and unpack what is missing; return the error that stopped it, if any."""
        if self._check_integrity():
            return None
        if not self.download:
            return ValueError('download=False')
        try:
            download_and_extract_archive(
                self.url, self.data_root, filename=self.filename, md5=self.tgz_md5
            )
        except (OSError, RuntimeError) as error:  # no network, no permission; a wrong MD5 sum
            return error
        return None


@DATASETS.register_module()
class CIFAR10Images(_BGRImages):
    """CIFAR-10: 60,000 images of 32×32 pixels in 10 classes; see :class:`_BGRImages`."""


@DATASETS.register_module()
class CIFAR100Images(_BGRImages, CIFAR100):
    """CIFAR-100: 60,000 images of 32×32 pixels in 100 classes; see :class:`_BGRImages`."""
