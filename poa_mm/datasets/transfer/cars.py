"""Stanford Cars."""

from pathlib import Path
from typing import Any

from mmpretrain.datasets import StanfordCars

from poa_mm.datasets.transfer.annotated import AnnotatedImages, Labels, flat, read_mat
from poa_mm.errors import printable
from poa_mm.registry import DATASETS

DEVKITS = ('devkit', 'car_devkit/devkit', '')
FILES = {
    'train': ('cars_train_annos.mat',),
    'test': ('cars_test_annos_withlabels.mat', 'cars_test_annos_withlabels (1).mat'),
}
MERGED = 'cars_annos.mat'
UNLABELLED = 'cars_test_annos.mat'


@DATASETS.register_module()
class StanfordCarsImages(AnnotatedImages):
    """Stanford Cars: 8144 images to train on and 8041 to test on, of 196 models.

    Differs from mmpretrain's ``StanfordCars`` in the layouts that it knows: those of the original
    page, ``car_ims`` with ``cars_annos.mat``, and ``cars_train`` and ``cars_test`` with ``devkit``;
    torchvision's, with the test labels beside ``devkit`` and all of it in ``stanford_cars``; and
    Kaggle's, with a folder more around images (``cars_train/cars_train``) and devkit.

    Args:
        data_root: Folder of the data set.
        split: ``'train'`` or ``'test'``.
        **kwargs: See :class:`~poa_mm.datasets.transfer.annotated.AnnotatedImages`.

    Raises:
        ValueError: An unknown split; see ``AnnotatedImages``.
    """

    NAME = 'Stanford Cars'
    METAINFO = StanfordCars.METAINFO

    def __init__(self, data_root: str | Path, split: str = 'train', **kwargs: Any) -> None:
        if split not in FILES:
            raise ValueError(f'unknown split {split!r}: choose one of {tuple(FILES)}')
        self.split = split
        super().__init__(data_root, **kwargs)

    def read_labels(self) -> Labels:
        """Read the labels of the split, which count from 1."""
        inner = self.root / 'stanford_cars'
        root = inner if inner.is_dir() else self.root
        if (root / 'car_ims').is_dir() and (root / MERGED).is_file():
            return self._read_merged(root)
        source = self._find_file(root)
        content = self._annotations(source, ('fname', 'class'))
        folder = root / f'cars_{self.split}'
        if (folder / folder.name).is_dir():
            folder = folder / folder.name
        return Labels(
            source,
            [folder / name for name in flat(content['fname'])],
            [int(label) - 1 for label in flat(content['class'])],
        )

    def _read_merged(self, root: Path) -> Labels:
        content = self._annotations(root / MERGED, ('relative_im_path', 'class', 'test'))
        rows = zip(*(flat(content[key]) for key in ('relative_im_path', 'class')), strict=True)
        chosen = [
            row
            for row, is_test in zip(rows, flat(content['test']), strict=True)
            if bool(is_test) == (self.split == 'test')
        ]
        return Labels(
            root / MERGED,
            [root / name for name, _ in chosen],
            [int(label) - 1 for _, label in chosen],
        )

    def _find_file(self, root: Path) -> Path:
        names = FILES[self.split]
        places = [root / devkit / name for devkit in DEVKITS for name in names]
        found = next((place for place in places if place.is_file()), None)
        if found is not None:
            return found
        why = ''
        if (root / MERGED).is_file():
            why = f'; {MERGED} numbers the images of car_ims, which is not there'
        elif self.split == 'test' and any((root / kit / UNLABELLED).is_file() for kit in DEVKITS):
            why = f'; {UNLABELLED} has no labels'
        expected = f'{DEVKITS[0]}/{names[0]}'
        raise FileNotFoundError(f'{printable(root)} has no {expected} of {self.NAME}{why}')

    def _annotations(self, path: Path, fields: tuple[str, ...]) -> dict[str, Any]:
        what = f'annotation file of {self.NAME}'
        content = read_mat(path, ['annotations'], what)['annotations']
        absent = [key for key in fields if key not in content]
        if absent:
            raise ValueError(f'{path} is no {what}: its annotations have no {", ".join(absent)}')
        return content
