"""Shared parts of pictures of images: colours, panels, letters of any script, and saving."""

import functools
import warnings
from pathlib import Path
from textwrap import fill

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager

from poa_mm.errors import printable
from poa_mm.files import replaced

__all__ = ['distinct_colours', 'fonts', 'shorten', 'show_image', 'write_figure', 'write_title']

# Of those on this machine, the first that has a letter is taken: names may be in any script.
FONTS = (
    *('DejaVu Sans', 'Noto Sans CJK SC', 'Noto Sans CJK JP', 'Noto Sans', 'WenQuanYi Zen Hei'),
    *('Arial Unicode MS', 'PingFang SC', 'Hiragino Sans', 'Microsoft YaHei', 'Yu Gothic'),
)
# Told apart by colour-blind people as well (Okabe and Ito, 2008), those most unlike first.
DISTINCT = ('#0072B2', '#E69F00', '#009E73', '#CC79A7', '#56B4E9', '#D55E00', '#F0E442')
LETTERS = 13  # of a title, in an inch of the picture


def distinct_colours(count: int) -> np.ndarray:
    """Return colours (count, 3) within 0…1 that colour-blind people tell apart as well.

    Of more than seven, which nobody tells apart at a glance, they are shades of viridis.

    Example:
        >>> distinct_colours(2).round(2).tolist()
        [[0.0, 0.45, 0.7], [0.9, 0.62, 0.0]]
    """
    if count <= len(DISTINCT):
        return np.array([to_rgb(colour) for colour in DISTINCT[:count]]).reshape(-1, 3)
    return colormaps['viridis'](np.linspace(0, 1, count))[:, :3]


def show_image(
    axes: Axes, pixels: np.ndarray, extent: tuple[float, float, float, float] | None = None
) -> None:
    """Draw an image, or a grid of colours over one, without ticks.

    Args:
        axes: Where to draw.
        pixels: (H, W, 3) uint8, or colours within 0…1, (rows, columns, 3 or 4).
        extent: Left, right, bottom and top of a grid in pixels of the image below it.
    """
    axes.imshow(pixels, extent=extent, interpolation='nearest')
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)


def shorten(name: str, longest: int) -> str:
    """Return a name that fits a line, on any terminal and in any picture.

    Example:
        >>> shorten('a very long name of a class', 12)
        'a very long…'
    """
    name = printable(name)
    return name if len(name) <= longest else f'{name[: longest - 1]}…'


@functools.cache
def fonts() -> list[str]:
    """Return the fonts of this machine in which names are written, the first choice first."""
    known = {font.name for font in fontManager.ttflist}
    return [font for font in FONTS if font in known]


def write_title(figure: Figure, *lines: str) -> None:
    """Write the title of a picture, lines broken so that they fit its width."""
    letters = int(LETTERS * figure.get_size_inches()[0])
    # No mathematics: names of files may have dollar signs.
    text = '\n'.join(fill(printable(line), letters) for line in lines)
    figure.suptitle(text, fontsize=10, parse_math=False, fontfamily=fonts())


def write_figure(figure: Figure, path: str | Path) -> None:
    """Save a picture, completely or not at all; its suffix gives the format, folders are made."""
    path = Path(path)
    with replaced(path) as partial, warnings.catch_warnings():
        warnings.simplefilter('ignore')  # of letters in no font of this machine
        figure.savefig(partial, format=path.suffix.removeprefix('.'))
