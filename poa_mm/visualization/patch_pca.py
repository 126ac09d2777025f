"""Patch tokens as colours: their first three principal components over all given images."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from poa_mm.visualization.canvas import fonts, shorten, show_image, write_figure, write_title

__all__ = ['PatchColours', 'foreground_patches', 'patch_colours', 'plot_patch_colours']

COMPONENTS = 3  # red, green and blue
TAILS = (1, 99)  # percentiles that are the ends of a colour, so that single patches do not set them
PANEL = 1.9  # inches, at least
NARROWEST = 5  # picture, which has room for a title


@dataclass(frozen=True)
class PatchColours:
    """Colours of the patches of all images for one network.

    Args:
        colours: Of each image, (rows, columns, 3) within 0…1; patches that are left out are NaN.
        shares: What share of the variance of the patches that are shown each component has, (3,).
    """

    colours: list[np.ndarray]
    shares: np.ndarray


def patch_colours(tokens: Sequence[np.ndarray], foreground: bool = False) -> PatchColours:
    """Turn the first three principal components of patch tokens into red, green and blue.

    All images share the components and the scale, so equal colours mean similar tokens.

    Args:
        tokens: Of each image, (rows, columns, D); numbers of rows and columns may differ.
        foreground: Leave the background out, as :func:`foreground_patches` finds it; components
            are then those of the rest, as DINOv2's authors show them.

    Raises:
        ValueError: No image, or fewer than two patches in all.
    """
    grids = [image.shape[:2] for image in tokens]
    if sum(rows * columns for rows, columns in grids) < 2:
        raise ValueError('principal components need two patches at least')
    shown = foreground_patches(tokens) if foreground else [np.ones(grid, bool) for grid in grids]
    rows = np.concatenate([image[mask] for image, mask in zip(tokens, shown, strict=True)]).astype(
        np.float64
    )
    scores, shares = _components(rows)
    low, high = np.percentile(scores, TAILS, axis=0)
    scaled = np.clip((scores - low) / np.where(high > low, high - low, 1.0), 0, 1)
    parts = np.split(scaled, np.cumsum([mask.sum() for mask in shown])[:-1])
    colours = [np.full((*grid, COMPONENTS), np.nan) for grid in grids]
    for image, mask, part in zip(colours, shown, parts, strict=True):
        image[mask] = part
    return PatchColours(colours, shares)


def foreground_patches(tokens: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Tell the foreground by the first principal component of all patches, bool (rows, columns).

    The split that leaves the least variance on both sides (Otsu's) parts the patches in two, and
    the part with the smaller share of the patches along the edges of images is the foreground.

    Args:
        tokens: As :func:`patch_colours` takes them.
    """
    flat = np.concatenate([image.reshape(-1, image.shape[-1]) for image in tokens])
    first = _components(flat.astype(np.float64))[0][:, 0]
    above = first > _split(first) if np.ptp(first) else np.ones(len(first), bool)
    edges = []
    for image in tokens:
        edge = np.ones(image.shape[:2], bool)
        edge[1:-1, 1:-1] = False
        edges.append(edge)
    on_edge = np.concatenate([edge.ravel() for edge in edges])
    if (~on_edge).any() and above[on_edge].mean() > above[~on_edge].mean():
        above = ~above
    return [
        part.reshape(edge.shape)
        for part, edge in zip(
            np.split(above, np.cumsum([edge.size for edge in edges])[:-1]), edges, strict=True
        )
    ]


def _split(values: np.ndarray) -> float:
    """Return the value between the two groups with the least variance within them."""
    ordered = np.sort(values)
    below = np.arange(1, len(ordered))
    above = len(ordered) - below
    sums = ordered.cumsum()[:-1]
    gap = sums / below - (ordered.sum() - sums) / above
    place = int((below * above * gap**2).argmax())
    return float(ordered[place : place + 2].mean())


def _components(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return scores (N, 3) and shares of the variance (3,); signs do not depend on the machine."""
    centred = rows - rows.mean(axis=0)
    variances, directions = np.linalg.eigh(centred.T @ centred)
    directions = directions[:, ::-1][:, :COMPONENTS]
    largest = np.abs(directions).argmax(axis=0)
    directions = directions * np.sign(directions[largest, np.arange(directions.shape[1])])
    scores = np.zeros((len(rows), COMPONENTS))
    scores[:, : directions.shape[1]] = centred @ directions
    shares = np.zeros(COMPONENTS)
    total = variances.clip(0).sum()
    if total > 0:
        found = variances.clip(0)[::-1][:COMPONENTS] / total
        shares[: len(found)] = found
    return scores, shares


def plot_patch_colours(
    images: Sequence[tuple[str, np.ndarray]],
    networks: Mapping[str, PatchColours],
    path: str | Path,
    title: str = '',
) -> None:
    """Draw each image beside its patches in the colours of each network.

    Args:
        images: Names and pixels, (H, W, 3) uint8, RGB; a row of the picture each.
        networks: Colours of these images by name of the network; a column each.
        path: Image to write; its suffix gives the format. An existing file is replaced.
        title: Title of the picture.

    Raises:
        ValueError: There is nothing to draw.
    """
    if not images or not networks:
        raise ValueError('there are no colours of patches to draw')
    columns = 1 + len(networks)
    panel = max(PANEL, NARROWEST / columns)
    heights = [panel * pixels.shape[0] / pixels.shape[1] for _, pixels in images]
    figure = Figure(
        figsize=(columns * (panel + 0.1), sum(heights) + 0.3 * len(images) + 1.1),
        dpi=100,
        layout='constrained',
    )
    panels = figure.subplots(len(images), columns, squeeze=False, height_ratios=heights)
    for axes, (name, found) in zip(panels[0, 1:], networks.items(), strict=True):
        text = f'{shorten(name, 24)}\n{100 * found.shares.sum():.0f} % of the variance'
        axes.set_title(text, fontsize=8, parse_math=False)
    for number, (row, (name, pixels)) in enumerate(zip(panels, images, strict=True)):
        show_image(row[0], pixels)
        label = row[0].set_xlabel(shorten(name, 24), fontsize=8, parse_math=False)
        label.set_fontfamily(fonts())
        extent = (0.0, float(pixels.shape[1]), float(pixels.shape[0]), 0.0)
        for axes, found in zip(row[1:], networks.values(), strict=True):
            colours = found.colours[number]
            left_out = np.isnan(colours).any(axis=-1)
            show_image(axes, np.where(left_out[..., None], 1.0, colours), extent)
    if title:
        write_title(figure, title)
    write_figure(figure, path)
