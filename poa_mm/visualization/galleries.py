"""Rows of small images with a line below each, such as neighbours, or what a prototype attracts."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from poa_mm.visualization.canvas import fonts, shorten, show_image, write_figure, write_title

__all__ = ['GalleryRow', 'Tile', 'plot_gallery']

PANEL = 1.25  # inches
LETTERS = 19  # below an image
# Blue and vermilion differ for colour-blind people as well; marks and dashes say the same.
SAME, OTHER, BOX = '#0072B2', '#D55E00', '#F0E442'


@dataclass(frozen=True)
class Tile:
    """An image in a row.

    Args:
        pixels: (H, W, 3) uint8, RGB.
        text: Line below it.
        same: Whether it is of the class in question, for frame and mark; None draws none.
        box: Part to frame, left, top, right and bottom as shares of the image; None frames none.
    """

    pixels: np.ndarray
    text: str = ''
    same: bool | None = None
    box: tuple[float, float, float, float] | None = None


@dataclass(frozen=True)
class GalleryRow:
    """A row of images.

    Args:
        label: Text to its left.
        tiles: Its images.
    """

    label: str
    tiles: Sequence[Tile]


def plot_gallery(
    rows: Sequence[GalleryRow],
    path: str | Path,
    title: str = '',
    heads: Sequence[str] = (),
    legend: str = '',
) -> None:
    """Draw rows of images.

    Args:
        rows: From top to bottom.
        path: Image to write; its suffix gives the format. An existing file is replaced.
        title: Title of the picture.
        heads: Texts above the columns, the first ones; '' for none.
        legend: What frames mean, below the picture.

    Raises:
        ValueError: There is nothing to draw.
    """
    columns = max((len(row.tiles) for row in rows), default=0)
    if not columns:
        raise ValueError('there are no images to draw')
    figure = Figure(
        figsize=(max(columns * (PANEL + 0.1) + 1.5, 5), len(rows) * (PANEL + 0.3) + 0.8),
        dpi=100,
        layout='constrained',
    )
    panels = figure.subplots(len(rows), columns, squeeze=False)
    for places, row in zip(panels, rows, strict=True):
        for axes in places[len(row.tiles) :]:
            axes.axis('off')
        for axes, tile in zip(places, row.tiles, strict=False):
            _draw(axes, tile)
        text = {'fontsize': 9, 'parse_math': False, 'fontfamily': fonts()}
        places[0].set_ylabel(row.label, rotation=0, ha='right', va='center', **text)
    for axes, head in zip(panels[0], heads, strict=False):
        axes.set_title(head, fontsize=9)
    if legend:
        figure.supxlabel(legend, fontsize=9)
    if title:
        write_title(figure, title)
    write_figure(figure, path)


def _draw(axes: Axes, tile: Tile) -> None:
    show_image(axes, tile.pixels)
    text = shorten(tile.text, LETTERS)
    if tile.same is not None:
        text = f'{"✓" if tile.same else "✗"} {text}'
        axes.spines[:].set(
            visible=True,
            color=SAME if tile.same else OTHER,
            linewidth=3,
            linestyle='-' if tile.same else '--',
        )
    axes.set_xlabel(text, fontsize=7, parse_math=False, fontfamily=fonts(), labelpad=3)
    if tile.box is not None:
        left, top, right, bottom = tile.box
        height, width = tile.pixels.shape[:2]
        for colour, line in (('black', 3.0), (BOX, 1.5)):
            axes.add_patch(
                Rectangle(
                    (left * width - 0.5, top * height - 0.5),
                    (right - left) * width,
                    (bottom - top) * height,
                    fill=False,
                    edgecolor=colour,
                    linewidth=line,
                )
            )
