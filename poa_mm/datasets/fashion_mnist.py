"""Load Fashion-MNIST from Debian's package or from a download."""

import gzip
import zlib
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import numpy as np
from mmengine import dist
from mmpretrain.datasets import FashionMNIST
from mmpretrain.datasets.utils import download_url

from poa_mm.datasets.arrays import ArrayDataset
from poa_mm.registry import DATASETS

DEBIAN_FOLDER = Path('/usr/share/datasets/fashion-mnist')
DOWNLOAD_FOLDER = Path('data/fashion-mnist')


@DATASETS.register_module()
class FashionMNISTArray(ArrayDataset):
    """Fashion-MNIST: 60,000 + 10,000 grey 28×28 images of ten kinds of clothing.

    Differs from mmpretrain's ``FashionMNIST`` in that it reads the compressed files where they
    are (Debian's folder is read-only and holds nothing else), obeys ``split`` whatever
    ``test_mode`` says, and hands out three equal channels, kept in memory as one.

    A ViT takes the images as they are: ``img_size=28`` with ``patch_size`` 4 (49 tokens) or 7 (16).

    Args:
        split: ``'train'`` or ``'test'``.
        data_root: Folder of the four ``*-ubyte.gz`` files; missing ones are downloaded into it.
            None takes ``/usr/share/datasets/fashion-mnist`` where it exists, else
            ``data/fashion-mnist``.
        **kwargs: Arguments of :class:`mmengine.dataset.BaseDataset`.

    Raises:
        ValueError: Unknown ``split``, or a damaged file.
        FileNotFoundError: A file is missing and could not be downloaded.
    """

    METAINFO = FashionMNIST.METAINFO

    def __init__(
        self, split: str = 'train', data_root: str | Path | None = None, **kwargs: Any
    ) -> None:
        if data_root is None:
            data_root = DEBIAN_FOLDER if DEBIAN_FOLDER.is_dir() else DOWNLOAD_FOLDER
        super().__init__(split, data_root=str(data_root), **kwargs)

    def load_arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """Read (N, 28, 28) images and (N,) labels, downloading them first if need be."""
        files = FashionMNIST.train_list if self.split == 'train' else FashionMNIST.test_list
        folder = Path(self.data_root)
        _download_missing(folder, dict(files))
        images, labels = (_read_idx(folder / name) for name, _ in files)
        return images, labels


def _download_missing(folder: Path, md5_sums: dict[str, str]) -> None:
    """Download missing files in the main process; every process raises if that fails."""
    missing = [name for name in md5_sums if not (folder / name).is_file()]
    reason = _download(folder, missing, md5_sums) if dist.is_main_process() else None
    dist.barrier()
    missing = [name for name in missing if not (folder / name).is_file()]
    if missing:
        raise FileNotFoundError(
            f'Fashion-MNIST: {folder / missing[0]} is missing and could not be downloaded '
            f'({reason or "by the main process"}). Either `apt-get install dataset-fashion-mnist` '
            f'(Debian, Ubuntu; found in {DEBIAN_FOLDER}) or copy the files {list(md5_sums)} from '
            f'{FashionMNIST.url_prefix} into {folder}.'
        ) from reason


def _download(folder: Path, names: list[str], md5_sums: dict[str, str]) -> Exception | None:
    """Download files one by one; return the error that stopped it, if any."""
    for name in names:
        url = urljoin(FashionMNIST.url_prefix, name)
        try:
            download_url(url, str(folder), filename=name, md5=md5_sums[name])
        except (OSError, RuntimeError) as error:  # no network, no permission; a wrong MD5 sum
            (folder / name).unlink(missing_ok=True)  # it must not pass for the file next time
            return error
    return None


def _read_idx(path: Path) -> np.ndarray:
    """Read a compressed IDX file of unsigned bytes: magic number, dimensions, data."""
    try:
        data = gzip.decompress(path.read_bytes())
        if data[:3] != b'\x00\x00\x08':
            raise ValueError('not an IDX file of unsigned bytes')
        shape = np.frombuffer(data, dtype='>i4', count=data[3], offset=4)
        return np.frombuffer(data, dtype=np.uint8, offset=4 + shape.nbytes).reshape(shape)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise ValueError(f'{path} is damaged, delete it to fetch it anew: {error}') from error
