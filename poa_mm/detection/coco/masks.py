"""Check that masks of an annotation file can be drawn, and lie within their images."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from poa_mm.detection.coco.findings import Entry, Findings
from poa_mm.detection.coco.ids import Sizes
from poa_mm.detection.coco.polygons import (
    are_polygons,
    areas,
    as_polygons,
    bounds,
    code_bounds,
    run_lengths,
)

OUTSIDE = 'outside the width and height that are stated for its image'


def check_masks(annotations: Sequence[Entry], sizes: Sizes, findings: Findings) -> None:
    """Check that every annotation has a mask that can be drawn, for models with masks.

    Depending on the fault, mmdet ignores the object, fails in the middle of an epoch or at the end
    of a validation; for a run-length code that is too short, pycocotools reads beyond its memory.
    """
    polygons, repaired, others = [], [], []
    for annotation in annotations:
        mask = annotation.get('segmentation')
        if are_polygons(mask):
            polygons.append(annotation)
        elif are_polygons(as_polygons(mask)):
            repaired.append(annotation)
        else:
            others.append(annotation)
    what = 'segmentation as one polygon, as corners or with parts without area, corrected'
    findings.note('annotations', what, repaired, 'segmentation')
    for annotation in repaired:
        annotation['segmentation'] = as_polygons(annotation['segmentation'])
    polygons += repaired
    drawn, places = _check_codes(others, sizes, findings)
    found = np.concatenate([bounds([a['segmentation'] for a in polygons]), places])
    _check_places(polygons + drawn, found, sizes, findings)


def _check_codes(
    annotations: Sequence[Entry], sizes: Sizes, findings: Findings
) -> tuple[list[Entry], np.ndarray]:
    """Check masks that are not polygons; return those that can be drawn, with (N, 4) bounds."""
    drawn: list[Entry] = []
    places: list[np.ndarray] = []
    faults = defaultdict(list)
    for annotation in annotations:
        mask, size = annotation.get('segmentation'), sizes[annotation['image_id']]
        fault = _code_fault(mask, size)
        if fault is not None:
            faults[fault].append(annotation)
        elif mask is not None:
            drawn.append(annotation)
            places.append(code_bounds(_lengths(mask), size[1]))
    for fault, entries in faults.items():
        findings.fault('annotations', fault, entries, 'segmentation')
    return drawn, np.reshape(places, (-1, 4))


def _code_fault(mask: object, size: tuple[int, int]) -> str | None:
    """Return what is wrong with a mask that is not a list of polygons; None if nothing is."""
    if not mask or (type(mask) is list and not any(mask)):
        return "no segmentation, which the model's masks need"
    if type(mask) is list:
        return 'segmentation is no list of polygons of at least three corners, x and y for each'
    if type(mask) is not dict or not mask.keys() >= {'size', 'counts'}:
        return 'segmentation is neither polygons nor a run-length code with size and counts'
    width, height = size
    if mask['size'] != [height, width]:
        return 'segmentation whose size is not the [height, width] of the image'
    lengths = run_lengths(mask['counts'])
    if lengths is None or lengths.sum() != height * width:
        return 'segmentation whose counts are damaged or of another number of pixels'
    if not lengths[1::2].any():
        return 'segmentation without a pixel'
    return None


def _check_places(
    annotations: Sequence[Entry], found: np.ndarray, sizes: Sizes, findings: Findings
) -> None:
    """Check the (N, 4) bounds of masks, in pixels."""
    if not annotations:
        return
    images = np.array([sizes[a['image_id']] for a in annotations])
    none = np.isnan(found).any(axis=1)
    outside = ~none & ((found[:, :2] >= images) | (found[:, 2:] <= 0)).any(axis=1)
    for what, where in (
        ('segmentation with coordinates that are no pixels', none),
        (f'segmentation {OUTSIDE}', outside),
    ):
        entries = [annotations[index] for index in np.flatnonzero(where)]
        findings.fault('annotations', what, entries, 'segmentation')
    _check_boxes(annotations, found, ~none & ~outside, findings)


def _check_boxes(
    annotations: Sequence[Entry], found: np.ndarray, usable: np.ndarray, findings: Findings
) -> None:
    """Check that boxes are not the corners of a mask, and not apart from it."""
    boxes = np.array([_numbers(a.get('bbox')) for a in annotations])
    ends = boxes[:, :2] + boxes[:, 2:]
    right = (np.abs(np.concatenate([boxes[:, :2], ends], axis=1) - found) <= 1).all(axis=1)
    corners = ~right & (np.abs(boxes - found) <= 1).all(axis=1)  # NaN is never near
    apart = ~corners & ((ends < found[:, :2]) | (boxes[:, :2] > found[:, 2:])).any(axis=1)
    for what, where in (
        ('bbox is x1, y1, x2, y2 by its segmentation, not x, y, width, height', corners),
        ('bbox and segmentation have nothing in common', apart),
    ):
        entries = [annotations[index] for index in np.flatnonzero(usable & where)]
        findings.fault('annotations', what, entries, 'bbox')


def _numbers(box: object) -> list[float]:
    """Return the four numbers of a box, NaN if it has others."""
    if type(box) is list and len(box) == 4 and {*map(type, box)} <= {int, float}:
        return box
    return [np.nan] * 4


def measure(annotations: Sequence[Entry], sizes: Sizes) -> tuple[np.ndarray, np.ndarray]:
    """Measure bounds and areas of masks of any form.

    Returns:
        (N, 4) array of x1, y1, x2, y2 in pixels, NaN without a mask that can be drawn, and (N,)
        array of square pixels, 0 without one.
    """
    places, found = np.full((len(annotations), 4), np.nan), np.zeros(len(annotations))
    forms = [are_polygons(a.get('segmentation')) for a in annotations]
    polygons = np.flatnonzero(forms)
    places[polygons] = bounds([annotations[i]['segmentation'] for i in polygons])
    polygons = polygons[~np.isnan(places[polygons]).any(axis=1)]
    found[polygons] = areas([annotations[i]['segmentation'] for i in polygons])
    for index in np.flatnonzero(np.logical_not(forms)):
        mask, size = annotations[index].get('segmentation'), sizes[annotations[index]['image_id']]
        if _code_fault(mask, size) is None:
            lengths = _lengths(mask)
            places[index] = code_bounds(lengths, size[1])
            found[index] = lengths[1::2].sum()
    return places, found


def _lengths(mask: Entry) -> np.ndarray:
    lengths = run_lengths(mask['counts'])
    assert lengths is not None, 'only masks without a fault are measured'
    return lengths
