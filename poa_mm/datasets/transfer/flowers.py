"""Oxford 102 Flowers."""

from pathlib import Path
from typing import Any, ClassVar

from torchvision.datasets import Flowers102

from poa_mm.datasets.transfer.annotated import AnnotatedImages, Labels, flat, read_mat
from poa_mm.registry import DATASETS

SPLITS = {  # variables of setid.mat
    'train': ('trnid',),
    'val': ('valid',),
    'trainval': ('trnid', 'valid'),
    'test': ('tstid',),
}
LABELS = 'imagelabels.mat'


@DATASETS.register_module()
class Flowers102Images(AnnotatedImages):
    """Oxford 102 Flowers: 1020 + 1020 images to train on and 6149 to test on.

    Differs from mmpretrain's ``Flowers102`` in that it knows the names of the classes, and that any
    split can be validated on, such as ``'val'`` as in the authors' code.

    Args:
        data_root: Folder with ``jpg``, ``imagelabels.mat`` and ``setid.mat``, or the one in which
            torchvision has put these, in ``flowers-102``.
        split: ``'train'`` (1020 images), ``'val'`` (1020), ``'trainval'`` (2040) or ``'test'``.
        **kwargs: See :class:`~poa_mm.datasets.transfer.annotated.AnnotatedImages`.

    Raises:
        ValueError: An unknown split; see ``AnnotatedImages``.
    """

    NAME = 'Oxford 102 Flowers'
    METAINFO: ClassVar[dict] = {'classes': tuple(Flowers102.classes)}

    def __init__(self, data_root: str | Path, split: str = 'trainval', **kwargs: Any) -> None:
        if split not in SPLITS:
            raise ValueError(f'unknown split {split!r}: choose one of {tuple(SPLITS)}')
        self.split = split
        super().__init__(data_root, **kwargs)

    def read_labels(self) -> Labels:
        """Read the labels of the split, which count from 1, and so do the images."""
        inner = self.root / 'flowers-102'
        root = inner if inner.is_dir() else self.root
        what = f'annotation file of {self.NAME}'
        labels = flat(read_mat(root / LABELS, ['labels'], what)['labels'])
        keys = SPLITS[self.split]
        split = read_mat(root / 'setid.mat', keys, what)
        numbers = [int(number) for key in keys for number in flat(split[key])]
        beyond = [number for number in numbers if not 1 <= number <= len(labels)]
        if beyond:
            raise ValueError(
                f'{root / "setid.mat"} names image {beyond[0]}, but {LABELS} has {len(labels)} '
                'labels'
            )
        return Labels(
            root / LABELS,
            [root / 'jpg' / f'image_{number:05d}.jpg' for number in numbers],
            [int(labels[number - 1]) - 1 for number in numbers],
        )
