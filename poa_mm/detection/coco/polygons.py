"""Measure polygons and run-length codes of masks.

A polygon is a list of numbers x1, y1, x2, y2, …, a mask a list of polygons. A run-length code has
the ``size`` [height, width] of the image and ``counts`` of pixels, column by column, in turn
without and with the mask: as a list of numbers, or as pycocotools packs them into text.
"""

from collections.abc import Sequence
from itertools import chain

import numpy as np

FAR = 1e6  # pixels; pycocotools takes memory for each pixel on the way to a corner
MIN_NUMBERS = 6  # of three corners
NUMBERS = {int, float}
CHUNK = 50_000  # masks whose coordinates are in memory at a time

Polygons = list[list[float]]


def are_polygons(segmentation: object) -> bool:
    """Return whether this has the form of a list of polygons, whatever the numbers."""
    if type(segmentation) is not list or not segmentation:
        return False
    return all(
        type(polygon) is list
        and len(polygon) >= MIN_NUMBERS
        and len(polygon) % 2 == 0
        and type(polygon[0]) is not list
        for polygon in segmentation
    )


def bounds(masks: Sequence[Polygons]) -> np.ndarray:
    """Return the smallest and largest coordinates of masks.

    Args:
        masks: N lists of polygons, by their form.

    Returns:
        (N, 4) array of x1, y1, x2, y2 in pixels; NaN where a coordinate is none.
    """
    chunks = [_bounds(masks[start : start + CHUNK]) for start in range(0, len(masks), CHUNK)]
    return np.concatenate([np.zeros((0, 4)), *chunks])


def _bounds(masks: Sequence[Polygons]) -> np.ndarray:
    if not set(map(type, chain.from_iterable(chain.from_iterable(masks)))) <= NUMBERS:
        if len(masks) == 1:
            return np.full((1, 4), np.nan)
        middle = len(masks) // 2  # search for those with other things than numbers
        return np.concatenate([_bounds(masks[:middle]), _bounds(masks[middle:])])
    corners, starts, firsts = _flat(masks)
    starts = starts[firsts]
    found = np.concatenate(
        [np.minimum.reduceat(corners, starts), np.maximum.reduceat(corners, starts)], axis=1
    )
    found[~(np.abs(found) < FAR).all(axis=1)] = np.nan
    return found


def areas(masks: Sequence[Polygons]) -> np.ndarray:
    """Compute the areas of masks, each over all its polygons (the shoelace formula).

    Args:
        masks: N lists of polygons, by their form, of numbers.

    Returns:
        (N,) array, in square pixels.
    """
    chunks = [_areas(masks[start : start + CHUNK]) for start in range(0, len(masks), CHUNK)]
    return np.concatenate([np.zeros(0), *chunks])


def _areas(masks: Sequence[Polygons]) -> np.ndarray:
    corners, starts, firsts = _flat(masks)
    following = np.arange(1, len(corners) + 1)
    following[np.append(starts[1:], len(corners)) - 1] = starts  # after the last comes the first
    x, y = corners.T
    twice = np.add.reduceat(x * y[following] - y * x[following], starts)
    return np.add.reduceat(np.abs(twice) / 2, firsts)


def _flat(masks: Sequence[Polygons]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return all (K, 2) corners, the index of each polygon in them, of each mask in polygons."""
    polygons = list(chain.from_iterable(masks))
    lengths = np.fromiter(map(len, polygons), np.int64, len(polygons))
    numbers = np.fromiter(chain.from_iterable(polygons), np.float64, int(lengths.sum()))
    counts = np.fromiter(map(len, masks), np.int64, len(masks))
    return numbers.reshape(-1, 2), _starts(lengths // 2), _starts(counts)


def _starts(lengths: np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(lengths)[:-1]])


def as_polygons(segmentation: object) -> object:
    """Convert what is meant as polygons to their form; return anything else unchanged.

    A single polygon becomes a list of one. Corners as lists of two numbers are flattened. Parts of
    fewer than three corners have no area, and are left out if others remain.
    """
    if type(segmentation) is not list or not segmentation:
        return segmentation
    if all(type(number) in NUMBERS for number in segmentation):
        return [segmentation]
    if _are_corners(segmentation):
        return [list(chain.from_iterable(segmentation))]
    parts = [list(chain.from_iterable(p)) if _are_corners(p) else p for p in segmentation]
    if not all(type(part) is list for part in parts):
        return segmentation
    whole = [part for part in parts if len(part) >= MIN_NUMBERS]
    return whole or segmentation


def _are_corners(value: object) -> bool:
    return (
        type(value) is list
        and len(value) >= MIN_NUMBERS // 2
        and all(type(corner) in (list, tuple) and len(corner) == 2 for corner in value)
        and all(type(number) in NUMBERS for number in chain.from_iterable(value))
    )


def run_lengths(counts: object) -> np.ndarray | None:
    """Return the run lengths of a code, alternately without and with the mask.

    Returns:
        int64 array, or None if the code is damaged.
    """
    if type(counts) is list:
        if not set(map(type, counts)) <= NUMBERS:
            return None
        lengths = np.array(counts, np.float64)
        whole = np.isfinite(lengths).all() and (lengths == np.floor(lengths)).all()
        return lengths.astype(np.int64) if whole and (lengths >= 0).all() else None
    if type(counts) is not str or not counts or not counts.isascii():
        return None
    unpacked = _unpack(np.frombuffer(counts.encode(), np.uint8).astype(np.int64) - 48)
    return None if unpacked is None or (unpacked < 0).any() else unpacked


def _unpack(codes: np.ndarray) -> np.ndarray | None:
    """Decode pycocotools' text: groups of five bits, lowest first, a sixth bit if more follow.

    A number is the difference to the last but one, from the fourth on.
    """
    if (codes < 0).any() or (codes > 63).any():
        return None
    ends = np.flatnonzero(codes < 32)
    if not len(ends) or ends[-1] != len(codes) - 1:
        return None
    starts = np.concatenate([[0], ends[:-1] + 1])
    sizes = ends - starts + 1
    if (sizes > 7).any():  # more than the 32 bits of a number
        return None
    places = np.arange(len(codes)) - np.repeat(starts, sizes)
    numbers = np.add.reduceat((codes & 31) << (5 * places), starts)
    numbers -= np.where(codes[ends] & 16, np.int64(1) << (5 * sizes), 0)
    numbers[1::2] = np.cumsum(numbers[1::2])
    numbers[2::2] = np.cumsum(numbers[2::2])
    return numbers


def code_bounds(lengths: np.ndarray, height: int) -> np.ndarray:
    """Return (4,) x1, y1, x2, y2 of the pixels of a run-length code that has some."""
    ends = np.cumsum(lengths)
    first, last = (ends - lengths)[1::2], ends[1::2] - 1
    some = last >= first
    first, last = first[some], last[some]
    x1, x2 = first.min() // height, last.max() // height + 1
    if (first // height != last // height).any():  # from one column to the next
        return np.array([x1, 0, x2, height], np.float64)
    rows = np.concatenate([first, last]) % height
    return np.array([x1, rows.min(), x2, rows.max() + 1], np.float64)
