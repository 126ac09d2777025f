"""Matching patches of two images, or of two views of one, for pictures and tables."""

import argparse
from collections.abc import Sequence

import numpy as np

from poa_mm.datasets.notes import FileNotes
from poa_mm.evaluation.networks.measured import Measured, Network
from poa_mm.evaluation.pictures.shown_images import Frame, ShownImage, read_photo
from poa_mm.evaluation.pictures.views import two_views
from poa_mm.visualization.correspondences import Matches, mutual_matches, patch_centres

__all__ = ['match_images', 'match_views', 'matches_of']

Found = tuple[tuple[np.ndarray, np.ndarray], list[Matches], list[dict[str, object]]]


def matches_of(
    measured: Measured, network: Network, images: tuple[ShownImage, ShownImage], count: int
) -> Matches:
    """Find the most similar pairs of patches of two images that are mutual nearest neighbours.

    Args:
        measured: Networks.
        network: One of them.
        images: The two.
        count: Pairs at most.
    """
    tokens, grids = [], []
    for image in images:
        ((_, found),) = measured.tokens(image.inputs, [network])
        tokens.append(found.patches[0].double().cpu().numpy())
        grids.append(found.grid)
    pairs, similarity = mutual_matches(tokens[0], tokens[1], count)
    left, right = (
        patch_centres(pairs[:, side], grid, (image.pixels.shape[0], image.pixels.shape[1]))
        for side, (grid, image) in enumerate(zip(grids, images, strict=True))
    )
    return Matches(network.name, left, right, similarity)


def match_images(
    measured: Measured, networks: Sequence[Network], frame: Frame, args: argparse.Namespace
) -> Found:
    """Match the two images of a command line.

    Returns:
        Their pixels, the pairs of each network, and a row of a table for each pair.
    """
    notes = FileNotes()
    one, other = (frame.show(read_photo(path, notes), path) for path in args.images)
    found = [matches_of(measured, network, (one, other), args.pairs) for network in networks]
    return (one.pixels, other.pixels), found, [row for each in found for row in _rows(each)]


def match_views(
    measured: Measured, networks: Sequence[Network], frame: Frame, args: argparse.Namespace
) -> Found:
    """Match two views of the only image of a command line; see :func:`match_images`.

    Rows also have the distance of the two places in the photograph, in percent of its diagonal.
    """
    (path,) = args.images
    photo = read_photo(path, FileNotes())
    views = two_views(photo, args.seed)
    one, other = (frame.show(view.image, path) for view in views)
    diagonal = float(np.hypot(*photo.size))
    found, rows = [], []
    for network in networks:
        each = matches_of(measured, network, (one, other), args.pairs)
        places = [
            view.in_photo(points, (image.pixels.shape[0], image.pixels.shape[1]))
            for view, points, image in zip(
                views, (each.left, each.right), (one, other), strict=True
            )
        ]
        distances = 100 * np.linalg.norm(places[0] - places[1], axis=1) / diagonal
        text = f'{each.network}: apart by {np.median(distances):.1f} % of the diagonal (median)'
        found.append(Matches(text, each.left, each.right, each.similarity))
        rows += [
            {**row, 'distance_percent': f'{distance:.3f}'}
            for row, distance in zip(_rows(each), distances, strict=True)
        ]
    return (one.pixels, other.pixels), found, rows


def _rows(found: Matches) -> list[dict[str, object]]:
    return [
        {
            'network': found.network,
            'rank': rank,
            'similarity': f'{similarity:.6f}',
            'left_x': left[0],
            'left_y': left[1],
            'right_x': right[0],
            'right_y': right[1],
        }
        for rank, (left, right, similarity) in enumerate(
            zip(found.left, found.right, found.similarity, strict=True), start=1
        )
    ]
