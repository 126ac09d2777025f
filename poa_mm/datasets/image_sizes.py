"""Check that images have the sizes that their annotations are for, from file headers."""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import NamedTuple

from mmcv.transforms import LoadImageFromFile
from mmengine import fileio
from mmengine.dataset import Compose
from mmengine.dist import all_gather_object, get_rank, get_world_size
from PIL import Image

from poa_mm.datasets.load_image import LoadImage
from poa_mm.datasets.metadata import TURNS, turn_of
from poa_mm.datasets.nested import Transform, transforms_of
from poa_mm.datasets.threads import each
from poa_mm.errors import printable

QUARTER_TURNS = [TURNS[value] for value in (5, 6, 7, 8)]  # which swap height and width


def image_loader(transforms: Iterable[Transform]) -> LoadImageFromFile | None:
    """Return the transform that loads images, if it is known and loads local files."""
    for transform in transforms:
        if isinstance(transform, LoadImageFromFile):
            known = (LoadImageFromFile.transform, LoadImage.transform)
            backend = fileio.get_file_backend('', backend_args=transform.backend_args)
            local = isinstance(backend, fileio.LocalBackend)
            return transform if local and type(transform).transform in known else None
    return None


def upright_size(path: str, loader: LoadImageFromFile) -> tuple[int, int] | None:
    """Return height and width from a file header, or None if it does not say.

    Args:
        path: File on this machine.
        loader: What loads it: turned upright by its EXIF orientation, or as it is stored.
    """
    try:
        with Image.open(path) as image:
            # Where a PNG does not say so in its head, Pillow would read all of it.
            quick = image.format != 'PNG' or 'exif' in image.info
            if not quick or turn_of(image.getexif) not in QUARTER_TURNS:
                return image.height, image.width
            # Turned by 90 degrees, if the decoder is asked to and knows the format's way to say so.
            if image.format not in ('JPEG', 'MPO'):
                return None
            turns = loader.color_type in ('color', 'grayscale')
            return (image.width, image.height) if turns else (image.height, image.width)
    except Exception:  # damaged, or of a format that Pillow does not know
        return None


class Sized(NamedTuple):
    """An image with the size that its annotations are for."""

    number: int | str | None  # its id
    path: str
    height: int
    width: int

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.height, self.width


def sized(info: Mapping) -> Sized:
    """Return the image of a sample of one of mmdet's data sets."""
    return Sized(info.get('img_id'), info['img_path'], info['height'], info['width'])


def check_sizes(images: Sequence[Sized], pipeline: Compose, source: str) -> None:
    """Check that images are loaded in the size that their annotations are for.

    The ranks share the images, and end alike. Where a pipeline loads no images there is nothing to
    compare; without transforms, images are taken to be loaded as usual.

    Args:
        images: Files on this machine, the same on all ranks.
        pipeline: Of a data set.
        source: Where the annotations come from, for the message.

    Raises:
        ValueError: Images of another size, or that cannot be read; says how many and which first.
    """
    loader = image_loader(transforms_of(pipeline)) if pipeline.transforms else LoadImage()
    if loader is None:
        return
    rank, world_size = get_rank(), get_world_size()
    found = wrong_images(images[rank::world_size], loader, show=rank == 0)
    wrong = list(chain.from_iterable(all_gather_object(found)))
    if wrong:
        raise ValueError(
            f'{source}: {len(wrong)} of {len(images)} images are not those that were annotated; '
            f'the first: {wrong[0]}'
        )


def wrong_images(
    images: Sequence[Sized], loader: LoadImageFromFile, show: bool = True
) -> list[str]:
    """Return images that would be loaded in another size than their annotations are for.

    Only the heads of the files are read. What they say against an image is confirmed by loading
    it, until that has been so for one.

    Args:
        images: Files on this machine.
        loader: What loads them.
        show: Whether there may be a bar.

    Returns:
        What is wrong, for each that is.
    """
    with warnings.catch_warnings():  # Pillow's do not name the file
        warnings.simplefilter('ignore')
        sizes = each(lambda image: upright_size(image.path, loader), images, 'images', show)
        suspects = [
            (image, size) for image, size in zip(images, sizes, strict=True) if size != image.size
        ]
        wrong: list[str] = []
        for image, size in suspects:
            if size is None or not wrong:  # later the heads are right about these files
                size, fault = _loaded_size(image.path, loader)
                if fault:
                    wrong.append(f'id {image.number!r}, {fault}')
                    continue
            if size is not None and size != image.size:
                wrong.append(_difference(image, size, loader))
    return wrong


def _loaded_size(path: str, loader: LoadImageFromFile) -> tuple[tuple[int, int] | None, str | None]:
    """Return height and width of a loaded image, or why there are none; neither if left out."""
    try:
        loaded = loader.transform({'img_path': path})
    except Exception as error:  # decoders raise whatever they stumble over
        named = path in str(error)
        return None, str(error) if named else f'{printable(path)} cannot be read: {error!r}'
    return (loaded['img_shape'][:2], None) if loaded is not None else (None, None)


def _difference(image: Sized, size: tuple[int, int], loader: LoadImageFromFile) -> str:
    text = (
        f'id {image.number!r}, {printable(image.path)} is loaded as {size[1]} × {size[0]} pixels, '
        f'and annotated as {image.width} × {image.height}'
    )
    if size != (image.width, image.height) or not _is_turned(image.path):
        return text
    if loader.color_type not in ('color', 'grayscale'):
        return f'{text}: its EXIF orientation does not count with this loader'
    return (
        f'{text}: its EXIF orientation turns it when loaded; exchange width and height, or set '
        "color_type='color_ignore_orientation' of LoadImageFromFile if the boxes are for the image "
        'as it is stored'
    )


def _is_turned(path: str) -> bool:
    with Image.open(path) as image:
        return turn_of(image.getexif) in QUARTER_TURNS
