"""Cut patches from the photographs inside the scikit-image and scikit-learn wheels."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from poa_mm.datasets.arrays import ArrayDataset
from poa_mm.datasets.images import read_image
from poa_mm.registry import DATASETS

PHOTOS = {
    'astronaut': 'skimage/data/astronaut.png',
    'brick': 'skimage/data/brick.png',
    'camera': 'skimage/data/camera.png',
    'cell': 'skimage/data/cell.png',
    'chelsea': 'skimage/data/chelsea.png',
    'china': 'sklearn/datasets/images/china.jpg',
    'clock_motion': 'skimage/data/clock_motion.png',
    'coffee': 'skimage/data/coffee.png',
    'coins': 'skimage/data/coins.png',
    'flower': 'sklearn/datasets/images/flower.jpg',
    'grass': 'skimage/data/grass.png',
    'gravel': 'skimage/data/gravel.png',
    'hubble_deep_field': 'skimage/data/hubble_deep_field.jpg',
    'ihc': 'skimage/data/ihc.png',
    'moon': 'skimage/data/moon.png',
    'motorcycle_left': 'skimage/data/motorcycle_left.png',
    'page': 'skimage/data/page.png',
    'retina': 'skimage/data/retina.jpg',
    'rocket': 'skimage/data/rocket.jpg',
    'text': 'skimage/data/text.png',
}
"""Photograph → its file below the folder that holds the installed packages."""

TRAIN_COLUMNS = 0.6
"""The train split cuts from this left part of every photograph, the test split from the rest."""


@DATASETS.register_module()
class PhotoPatches(ArrayDataset):
    """Square patches of 20 real photographs; the class of a patch is its photograph.

    The photographs come with two packages that poa_mm depends on anyway: nothing is downloaded.
    Patches are cut at native resolution and distinct random positions, drawn once from ``seed``.
    Patches of one split may overlap; the two splits share no pixel.

    Args:
        split: ``'train'`` or ``'test'``.
        patch_size: Height and width of a patch in pixels.
        patches_per_photo: Patches cut from each photograph.
        seed: Seed of the positions.
        **kwargs: Arguments of :class:`mmengine.dataset.BaseDataset`.

    Raises:
        ValueError: Unknown ``split``, or a photograph's part has no room for that many patches of
            that size.
    """

    METAINFO: ClassVar[dict] = {'classes': tuple(PHOTOS)}

    def __init__(
        self,
        split: str = 'train',
        patch_size: int = 32,
        patches_per_photo: int = 500,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        for name, value in (('patch_size', patch_size), ('patches_per_photo', patches_per_photo)):
            if value < 1:
                raise ValueError(f'{name} must be at least 1, got {value}')
        self.patch_size = patch_size
        self.patches_per_photo = patches_per_photo
        self.seed = seed
        super().__init__(split, **kwargs)

    def load_arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """Cut the patches of all photographs, one after another."""
        patches = [self._cut(label, name) for label, name in enumerate(PHOTOS)]
        return np.concatenate(patches), np.repeat(np.arange(len(PHOTOS)), self.patches_per_photo)

    def _cut(self, label: int, name: str) -> np.ndarray:
        """Cut ``(patches_per_photo, patch_size, patch_size, 3)`` from one photograph."""
        photo = read_image(str(_photo_path(name)))
        border = round(TRAIN_COLUMNS * photo.shape[1])
        part = photo[:, :border] if self.split == 'train' else photo[:, border:]
        rows, columns = (max(0, length - self.patch_size + 1) for length in part.shape[:2])
        if rows * columns < self.patches_per_photo:
            raise ValueError(
                f'the {self.split} part of {name} ({part.shape[1]}x{part.shape[0]} pixels) has '
                f'{rows * columns} positions for patches of patch_size={self.patch_size}: '
                f'patches_per_photo={self.patches_per_photo} does not fit'
            )
        # One stream per photograph and split: they stay independent of each other.
        rng = np.random.default_rng((self.seed, self.SPLITS.index(self.split), label))
        positions = rng.choice(rows * columns, size=self.patches_per_photo, replace=False)
        window = (self.patch_size, self.patch_size, 3)
        windows = np.lib.stride_tricks.sliding_window_view(part, window)[:, :, 0]
        return windows[np.divmod(positions, columns)]


def _photo_path(name: str) -> Path:
    package = PHOTOS[name].split('/', maxsplit=1)[0]
    spec = find_spec(package)  # finds the folder without the cost of importing the package
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f'the photograph {name} ships with {package}, not installed here')
    return Path(spec.origin).parents[1] / PHOTOS[name]
