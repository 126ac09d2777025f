"""ImageNet-9 with changed backgrounds: what a classifier takes from them (paper Fig. 5).

The data sets and the challenge are those of Xiao et al. [0]_: 4,050 images of nine classes, in
folders ``VARIANT/val/CLASS``, and masks of their foregrounds. Nothing of them comes with this
package. Images are used as stored, values from 0 to 1, then normalised as the network expects.

.. [0] Xiao et al., Noise or Signal: The Role of Image Backgrounds in Object Recognition, ICLR 2021.
   https://arxiv.org/abs/2006.09994
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor

from poa_mm.files import check_file, check_folder

if TYPE_CHECKING:
    from PIL import Image

__all__ = [
    'Foreground',
    'background_gap',
    'challenge_accuracy',
    'combine',
    'foregrounds',
    'images_of',
    'in9_variants',
    'read_in_to_in9',
]

NUM_CLASSES = 9
NUM_IMAGENET = 1000
NO_CLASS = -1  # of ImageNet's classes that are none of the nine
MASKS = 'fg_mask'
BACKGROUNDS = 'only_bg_t'
ORIGINAL = 'original'
SPLIT = 'val'

Predict = Callable[[Tensor], Tensor]


class Foreground(NamedTuple):
    """An image whose background can be replaced.

    Attributes:
        image: (3, H, W), values from 0 to 1.
        mask: 1 on the foreground, 0 elsewhere, (H, W).
        label: Class, from 0 to 8.
        path: File of the mask.
    """

    image: Tensor
    mask: Tensor
    label: int
    path: Path


def read_in_to_in9(path: str | PathLike) -> Tensor:
    """Read which of the nine classes each class of ImageNet belongs to.

    Args:
        path: ``in_to_in9.json`` of the challenge's repository: classes 0 to 8, and -1 for none of
            them, by the number of ImageNet's class as a text.

    Returns:
        Classes, int64 (1000,).

    Raises:
        FileNotFoundError: No such file.
        ValueError: The file is no such mapping of all 1000 classes.
    """
    check_file(path, 'mapping to the classes of ImageNet-9')
    try:
        content = json.loads(Path(path).read_text(encoding='utf-8'))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f'{path} is no JSON: {error}') from error
    wanted = [str(number) for number in range(NUM_IMAGENET)]
    valid = range(NO_CLASS, NUM_CLASSES)
    if not isinstance(content, Mapping) or set(content) != set(wanted):
        raise ValueError(f'{path} must map "0" to "{NUM_IMAGENET - 1}" to classes {valid}')
    wrong = {key: value for key, value in content.items() if value not in valid}
    if wrong:
        key, value = next(iter(wrong.items()))
        raise ValueError(
            f'{path} maps "{key}" to {value!r}; valid are {NO_CLASS} to {NUM_CLASSES - 1}'
        )
    return torch.tensor([content[key] for key in wanted])


def in9_variants(folder: str | PathLike) -> dict[str, Path]:
    """List the variants of ImageNet-9 in a folder, in order of their names.

    The folder of masks is none: the authors' code leaves it out as the first by name.

    Args:
        folder: Where the challenge's archive was unpacked.

    Returns:
        Folders with one sub-folder a class, by name of the variant.

    Raises:
        FileNotFoundError: No such folder.
        ValueError: It holds no variant, or one with other classes.
    """
    check_folder(folder)
    found = {
        path.name: path / SPLIT
        for path in sorted(Path(folder).iterdir())
        if path.name != MASKS and (path / SPLIT).is_dir()
    }
    if not found:
        raise ValueError(f'{folder} holds no variant of ImageNet-9: no VARIANT/{SPLIT}/CLASS')
    for path in found.values():
        _classes(path)
    return found


def background_gap(accuracies: Mapping[str, float]) -> float | None:
    """Return the gap, in percentage points, that backgrounds of another class make.

    Args:
        accuracies: In percent by variant.

    Returns:
        That of ``mixed_same`` less that of ``mixed_rand``; None if one of them is missing.

    Example:
        >>> round(background_gap({'mixed_same': 86.2, 'mixed_rand': 78.9}), 1)
        7.3
    """
    pair = [accuracies.get(name) for name in ('mixed_same', 'mixed_rand')]
    return None if None in pair else pair[0] - pair[1]  # type: ignore[operator]


def combine(foreground: Foreground, backgrounds: Tensor) -> Tensor:
    """Put a foreground on backgrounds.

    Args:
        foreground: What to put on them.
        backgrounds: (B, 3, H, W), values from 0 to 1.

    Returns:
        Images (B, 3, H, W).

    Example:
        >>> half = torch.tensor([[1.0, 0.0]])
        >>> white = Foreground(torch.ones(3, 1, 2), half, label=0, path=Path())
        >>> combine(white, torch.zeros(1, 3, 1, 2))[0, 0]
        tensor([[1., 0.]])
    """
    mask = foreground.mask.to(backgrounds)
    return backgrounds * (1 - mask) + foreground.image.to(backgrounds) * mask


def challenge_accuracy(
    foregrounds: Iterable[Foreground], backgrounds: Iterable[Tensor], predict: Predict
) -> float:
    """Measure the share of foregrounds that no background fools the classifier about.

    This is 100 less the share of vulnerable foregrounds, which the challenge's code prints. All
    backgrounds are tried on each, also those of its own class, until one fools the classifier.

    Args:
        foregrounds: What to classify.
        backgrounds: Batches (B, 3, H, W) of backgrounds, gone through once for each foreground.
        predict: Classes (B,), from 0 to 8, or -1 for none, of images with values from 0 to 1.

    Returns:
        In percent.

    Raises:
        ValueError: There is no foreground.
    """
    safe = [
        all((predict(combine(one, batch)) == one.label).all() for batch in backgrounds)
        for one in foregrounds
    ]
    if not safe:
        raise ValueError('there is no foreground')
    return 100 * sum(safe) / len(safe)


def foregrounds(folder: str | PathLike) -> Iterator[Foreground]:
    """Read the challenge's foregrounds, in order of their classes and names.

    Args:
        folder: As of :func:`in9_variants`.

    Raises:
        FileNotFoundError: Masks or images are missing.
        ValueError: A mask does not fit its image.
    """
    from torchvision.transforms.functional import to_tensor

    masks, images = (Path(folder) / name / SPLIT for name in (MASKS, ORIGINAL))
    for part in (masks, images):
        check_folder(part)
    for label, name in enumerate(_classes(masks)):
        for path in sorted((masks / name).glob('*.npy')):
            file = images / name / f'{path.stem}.JPEG'
            check_file(file, f'image of {path}')
            image = to_tensor(_rgb(file))
            mask = torch.from_numpy(np.load(path).astype(np.float32))
            if mask.shape != image.shape[1:]:
                raise ValueError(
                    f'{path} has shape {tuple(mask.shape)}, its image {tuple(image.shape[1:])}'
                )
            yield Foreground(image, (mask > 0).float(), label, path)


def images_of(folder: str | PathLike, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Read a variant's images, with values from 0 to 1 as stored, and their classes.

    Args:
        folder: Of :func:`in9_variants`.
        batch_size: Images at a time.

    Yields:
        Images (B, 3, H, W) and classes (B,).
    """
    from torchvision.transforms.functional import to_tensor

    files = [
        (path, label)
        for label, name in enumerate(_classes(Path(folder)))
        for path in sorted((Path(folder) / name).iterdir())
        if path.is_file() and not path.name.startswith('.')
    ]
    for start in range(0, len(files), batch_size):
        paths, labels = zip(*files[start : start + batch_size], strict=True)
        yield torch.stack([to_tensor(_rgb(path)) for path in paths]), torch.tensor(labels)


def _rgb(path: Path) -> 'Image.Image':
    from PIL import Image

    with Image.open(path) as image:
        return image.convert('RGB')


def _classes(folder: Path) -> list[str]:
    """List the nine classes, whose names begin with their numbers, such as ``00_dog``."""
    names = sorted(path.name for path in folder.iterdir() if path.is_dir())
    if len(names) != NUM_CLASSES:
        raise ValueError(f'{folder} must hold the {NUM_CLASSES} classes of ImageNet-9, got {names}')
    return names
