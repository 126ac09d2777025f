"""Check boxes, areas and flags of an annotation file."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from poa_mm.detection.coco.findings import Entry, Findings
from poa_mm.detection.coco.ids import Sizes
from poa_mm.detection.coco.masks import OUTSIDE, measure
from poa_mm.detection.coco.polygons import FAR, NUMBERS

FLAGS = {0: 0, 1: 1, '0': 0, '1': 1, 'false': 0, 'true': 1}
TOLERANCE = 2  # pixels by which a box may extend beyond its image, for rounding
MANY = (
    0.1  # share of boxes beyond their images: more are not objects at the edge, but a wrong format
)


def check_flags(annotations: Sequence[Entry], findings: Findings) -> None:
    """Check ``iscrowd`` and ``ignore``: 0 or 1.

    Without ``iscrowd``, pycocotools raises a KeyError; mmdet takes the text ``"0"`` as true.
    """
    missing = [a for a in annotations if a.get('iscrowd') is None]
    findings.note('annotations', 'no iscrowd, taken as 0', missing)
    for annotation in missing:
        annotation['iscrowd'] = 0
    for key in ('iscrowd', 'ignore'):
        odd = [a for a in annotations if a.get(key) is not None and type(a[key]) is not int]
        numbers = [a for a in annotations if type(a.get(key)) is int and a[key] not in (0, 1)]
        wrong = numbers + [a for a in odd if _flag(a[key]) is None]
        findings.fault('annotations', f'{key} is neither 0 nor 1', wrong, key)
        for annotation in odd:
            annotation[key] = _flag(annotation[key])
    crowds = [a for a in annotations if a['iscrowd']]
    what = 'crowds (iscrowd is 1), which are neither trained on nor counted'
    if len(crowds) == len(annotations):
        findings.fault('annotations', what, crowds)
    elif len(crowds) > len(annotations) / 2:
        findings.note('annotations', what, crowds)


def _flag(value: object) -> int | None:
    if type(value) is str:
        value = value.strip().lower()
    return FLAGS.get(value) if type(value) in (int, float, str, bool) else None


def check_boxes(annotations: Sequence[Entry], sizes: Sizes, findings: Findings) -> None:
    """Check that every box is x, y, width and height in pixels, and overlaps its image.

    A missing box is computed from the mask. mmdet would leave wrong ones out of training, and count
    them as missed in testing.
    """
    absent = [a for a in annotations if a.get('bbox') in (None, [])]
    places, _ = measure(absent, sizes)
    drawn = np.flatnonzero(~np.isnan(places).any(axis=1))
    what = 'no bbox, taken from segmentation'
    findings.note('annotations', what, [absent[index] for index in drawn])
    for index in drawn:
        x1, y1, x2, y2 = places[index].tolist()
        absent[index]['bbox'] = [x1, y1, x2 - x1, y2 - y1]
    lost = [a for a in absent if a.get('bbox') in (None, [])]
    findings.fault('annotations', 'no bbox', lost)
    usable: list[Entry] = []
    wrong: list[Entry] = []
    for annotation in annotations:
        if annotation.get('bbox') not in (None, []):
            (usable if _is_box(annotation['bbox']) else wrong).append(annotation)
    findings.fault('annotations', 'bbox is not four finite numbers of pixels', wrong, 'bbox')
    negative = [a for a in usable if a['bbox'][2] < 0 or a['bbox'][3] < 0]
    findings.fault('annotations', 'bbox of negative width or height', negative, 'bbox')
    if annotations and not (lost or wrong or negative):
        _check_places(annotations, sizes, findings)


def _is_box(box: object) -> bool:
    return (
        type(box) is list
        and len(box) == 4
        and type(box[0]) in NUMBERS
        and type(box[1]) in NUMBERS
        and type(box[2]) in NUMBERS
        and type(box[3]) in NUMBERS
        and -FAR < box[0] < FAR
        and -FAR < box[1] < FAR
        and -FAR < box[2] < FAR
        and -FAR < box[3] < FAR
    )


def _check_places(annotations: Sequence[Entry], sizes: Sizes, findings: Findings) -> None:
    boxes = np.array([a['bbox'] for a in annotations], np.float64)
    images = np.array([sizes[a['image_id']] for a in annotations], np.float64)
    start, size = boxes[:, :2], boxes[:, 2:]
    beyond = ((start + size > images + TOLERANCE) | (start < -TOLERANCE)).any(axis=1)
    if (boxes <= 1).all() and (start >= 0).all() and (boxes % 1).any():
        findings.fault('annotations', 'bbox as fractions of the image, not in pixels', annotations)
        return
    as_corners = (size > start) & (size <= images + TOLERANCE) & (start >= -TOLERANCE)
    if as_corners.all() and beyond.mean() > MANY:
        what = 'bbox is x1, y1, x2, y2, not x, y, width, height: it would extend beyond its image'
        findings.fault('annotations', what, _where(annotations, beyond), 'bbox')
        return
    outside = ((start >= images) | (start + size < 0) | ((start + size <= 0) & (size > 0))).any(1)
    findings.fault('annotations', f'bbox {OUTSIDE}', _where(annotations, outside), 'bbox')
    findings.note('annotations', 'bbox beyond the image', _where(annotations, beyond), 'bbox')
    what = 'bbox under a pixel wide or high, which training leaves out and testing counts'
    findings.note('annotations', what, _where(annotations, (size < 1).any(axis=1)), 'bbox')


def _where(annotations: Sequence[Entry], mask: np.ndarray | np.bool_) -> list[Entry]:
    return [annotations[index] for index in np.flatnonzero(mask)]


def check_areas(annotations: Sequence[Entry], sizes: Sizes, findings: Findings) -> None:
    """Compute areas that are missing or not above 0, from the mask or else from the box.

    pycocotools uses them to sort objects into small, medium and large ones; mmdet leaves objects
    without an area out of training.
    """
    wrong = [a for a in annotations if not _is_area(a.get('area'))]
    _, areas = measure(wrong, sizes)
    boxes = np.array([a['bbox'][2:] for a in wrong], np.float64).reshape(-1, 2)
    areas = np.where(areas > 0, areas, boxes.prod(axis=1)).tolist()
    told = [a for a, area in zip(wrong, areas, strict=True) if area or a.get('area') != 0]
    what = 'area missing or not above 0, computed from segmentation or bbox'
    findings.note('annotations', what, told, 'area')
    for annotation, area in zip(wrong, areas, strict=True):
        annotation['area'] = area


def _is_area(value: Any) -> bool:
    return type(value) in NUMBERS and 0 < value < float('inf')
