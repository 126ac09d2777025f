"""Pairs of patches of two images that match one another (as the paper's Fig. 10)."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from poa_mm.visualization.canvas import show_image, write_figure, write_title

__all__ = ['Matches', 'mutual_matches', 'patch_centres', 'plot_correspondences']

EPS = 1e-12  # smallest norm that is divided by
GAP = 0.05  # between two images, of their width
HEIGHT = 3.0  # inches of an image


@dataclass(frozen=True)
class Matches:
    """Pairs of patches of two images, the most similar first.

    Args:
        network: Name of the network, and what else is written above its row.
        left: x and y of the patches' centres in the first image, in pixels, (K, 2).
        right: Of those that they match in the second image, likewise.
        similarity: Cosine similarities, (K,).
    """

    network: str
    left: np.ndarray
    right: np.ndarray
    similarity: np.ndarray


def mutual_matches(one: np.ndarray, other: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Find patches of two images each of which is the most similar one to the other.

    Args:
        one: Tokens of the first image, (N, D).
        other: Tokens of the second image, (M, D).
        count: Pairs at most.

    Returns:
        Rows of ``one`` and ``other``, int (K, 2), the most similar pair first, of equal ones the
        first by row; and their cosine similarities, float64 (K,).

    Example:
        >>> one, other = np.eye(3), np.array([[0, 2.0, 0], [0, 1.0, 3.0]])
        >>> mutual_matches(one, other, 5)[0].tolist()
        [[1, 0], [2, 1]]
    """
    similarity = _unit(one) @ _unit(other).T
    best = similarity.argmax(axis=1)
    rows = np.flatnonzero(similarity.argmax(axis=0)[best] == np.arange(len(one)))
    found = similarity[rows, best[rows]]
    order = np.argsort(-found, kind='stable')[:count]
    return np.stack([rows, best[rows]], axis=1)[order], found[order]


def _unit(tokens: np.ndarray) -> np.ndarray:
    tokens = np.asarray(tokens, dtype=np.float64)
    return tokens / np.maximum(np.linalg.norm(tokens, axis=1, keepdims=True), EPS)


def patch_centres(patches: np.ndarray, grid: tuple[int, int], size: tuple[int, int]) -> np.ndarray:
    """Return x and y of the centres of patches in pixels, (K, 2).

    Args:
        patches: Numbers of patches, row by row, (K,).
        grid: Rows and columns of patches.
        size: Height and width of the image.

    Example:
        >>> patch_centres(np.array([0, 5]), (2, 3), (20, 30)).tolist()
        [[5.0, 5.0], [25.0, 15.0]]
    """
    rows, columns = np.divmod(patches, grid[1])
    return np.stack([(columns + 0.5) * size[1] / grid[1], (rows + 0.5) * size[0] / grid[0]], axis=1)


def plot_correspondences(
    images: tuple[np.ndarray, np.ndarray],
    found: Sequence[Matches],
    path: str | Path,
    title: str = '',
) -> None:
    """Draw two images side by side with lines between matching patches, a row for each network.

    Args:
        images: Pixels of the two, (H, W, 3) uint8, RGB.
        found: Pairs of each network.
        path: Image to write; its suffix gives the format. An existing file is replaced.
        title: Title of the picture.

    Raises:
        ValueError: There is nothing to draw.
    """
    if not found:
        raise ValueError('there are no correspondences to draw')
    ratios = [pixels.shape[1] / pixels.shape[0] for pixels in images]
    width = HEIGHT * (sum(ratios) + GAP * ratios[0])
    figure = Figure(
        figsize=(max(width + 1.2, 6), len(found) * (HEIGHT + 0.3) + 0.7),
        dpi=100,
        layout='constrained',
    )
    panels = figure.subplots(len(found), 1, squeeze=False)[:, 0]
    every = np.concatenate([one.similarity for one in found])
    scale = Normalize(*((every.min(), every.max()) if len(every) else (0, 1)))
    for axes, one in zip(panels, found, strict=True):
        _draw(axes, images, ratios, one, scale)
    bar = figure.colorbar(ScalarMappable(scale, 'viridis'), ax=panels, shrink=0.7, pad=0.01)
    bar.set_label('cosine similarity of the patches', fontsize=9)
    if title:
        write_title(figure, title)
    write_figure(figure, path)


def _draw(
    axes: Axes,
    images: tuple[np.ndarray, np.ndarray],
    ratios: Sequence[float],
    one: Matches,
    scale: Normalize,
) -> None:
    """Draw both images one unit high, and lines between them."""
    starts = (0.0, (1 + GAP) * ratios[0])
    for pixels, start, ratio in zip(images, starts, ratios, strict=True):
        show_image(axes, pixels, (start, start + ratio, 1.0, 0.0))
    axes.set(xlim=(0, starts[1] + ratios[1]), ylim=(1, 0))
    left, right = (
        points / pixels.shape[0] + (start, 0)
        for points, pixels, start in zip((one.left, one.right), images, starts, strict=True)
    )
    # The most similar pair on top.
    for a, b, value in reversed(list(zip(left, right, one.similarity, strict=True))):
        xs, ys = zip(a, b, strict=True)
        axes.plot(xs, ys, color='white', linewidth=2.4, alpha=0.8)
        colour = colormaps['viridis'](scale(value))
        axes.plot(xs, ys, color=colour, linewidth=1.2, marker='o', markersize=4, mec='white')
    axes.set_title(one.network, fontsize=9, parse_math=False)
