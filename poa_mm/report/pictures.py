"""Pictures that other tools have drawn, made small enough for the page."""

import io
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from poa_mm.cli import beside
from poa_mm.errors import InputError
from poa_mm.report.own_images import Tile, data_url

__all__ = ['beside_checkpoint', 'picture_files', 'small_picture']

# Of tools/visualize.py, in the order of the page.
KINDS = ('attention', 'pca', 'correspondences', 'prototypes', 'neighbours')
SUFFIXES = ('.png', '.jpg', '.jpeg', '.webp')
WIDTH = 1100  # pixels
QUALITY = 82  # of WebP


def beside_checkpoint(checkpoint: Path) -> list[Path]:
    """List what ``tools/visualize.py`` has drawn of a checkpoint, where it does by default."""
    paths = (beside(checkpoint, kind, '.png') for kind in KINDS)
    return [path for path in paths if path.is_file()]


def picture_files(paths: Sequence[Path]) -> list[Path]:
    """List pictures: files as they are, and those directly in folders.

    Raises:
        FileNotFoundError: There is no such file or folder.
        ValueError: A folder has none.
    """
    found = []
    for path in paths:
        if not path.exists():
            raise FileNotFoundError(f'there is no picture {path}')
        inside = [path] if path.is_file() else sorted(path.iterdir())
        pictures = [one for one in inside if one.suffix.lower() in SUFFIXES]
        if not pictures:
            raise InputError(f'{path} has no pictures, which end in {", ".join(SUFFIXES)}')
        found += pictures
    return found


def small_picture(path: Path) -> Tile:
    """Shrink a picture to the width of the page; its name is the caption.

    Raises:
        ValueError: It cannot be read.
    """
    file = io.BytesIO()
    try:
        with Image.open(path) as opened:
            image = opened.convert('RGBA' if opened.mode in ('RGBA', 'LA', 'P') else 'RGB')
    except (UnidentifiedImageError, OSError) as error:
        raise InputError(f'{path} cannot be read as a picture: {error}') from error
    if image.width > WIDTH:
        height = round(image.height * WIDTH / image.width)
        image = image.resize((WIDTH, height), Image.Resampling.LANCZOS)
    image.save(file, 'WEBP', quality=QUALITY)
    return Tile(data_url(file.getvalue(), 'webp'), path.stem.replace('_', ' '))
