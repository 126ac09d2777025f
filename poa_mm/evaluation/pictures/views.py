"""Two views of one photograph whose every place in it is known."""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

__all__ = ['View', 'two_views']

SIDES = (0.6, 0.85)  # of a view, as shares of the photograph's: any two of them overlap
BRIGHTNESS = (0.75, 1.25)


@dataclass(frozen=True)
class View:
    """A part of a photograph, mirrored or not.

    Args:
        image: What is seen of it.
        left: Where the part begins in the photograph, in pixels.
        top: Likewise.
        mirrored: Whether left and right are swapped.
    """

    image: Image.Image
    left: int
    top: int
    mirrored: bool

    def in_photo(self, points: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """Find points of the resized view in the photograph.

        Args:
            points: x and y in pixels, (K, 2).
            size: Height and width to which ``PIL.ImageOps.fit`` has resized the view: what does
                not fit was cut off on both sides.

        Returns:
            x and y in pixels of the photograph, (K, 2).
        """
        sides = np.array(self.image.size, dtype=np.float64)
        resized = np.array(size[::-1], dtype=np.float64)
        scale = (resized / sides).max()
        found = sides / 2 + (points - resized / 2) / scale
        if self.mirrored:
            found = np.stack([sides[0] - found[:, 0], found[:, 1]], axis=1)
        return found + np.array([self.left, self.top])


def two_views(photo: Image.Image, seed: int) -> tuple[View, View]:
    """Cut two overlapping parts of a photograph; the second is mirrored, both differ in brightness.

    Args:
        photo: RGB.
        seed: Of the parts.
    """
    rng = np.random.default_rng(seed)
    first, second = (_view(photo, rng, mirrored) for mirrored in (False, True))
    return first, second


def _view(photo: Image.Image, rng: np.random.Generator, mirrored: bool) -> View:
    share = rng.uniform(*SIDES)
    width, height = (max(round(side * share), 1) for side in photo.size)
    left = int(rng.integers(photo.width - width + 1))
    top = int(rng.integers(photo.height - height + 1))
    part = photo.crop((left, top, left + width, top + height))
    part = ImageEnhance.Brightness(part).enhance(rng.uniform(*BRIGHTNESS))
    return View(ImageOps.mirror(part) if mirrored else part, left, top, mirrored)
