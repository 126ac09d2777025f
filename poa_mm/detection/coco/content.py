"""The check of a whole annotation file."""

from typing import Any

from poa_mm.detection.coco.boxes import check_areas, check_boxes, check_flags
from poa_mm.detection.coco.findings import Findings
from poa_mm.detection.coco.ids import (
    check_categories,
    check_copies,
    check_images,
    check_references,
    number_annotations,
    sizes_of,
)
from poa_mm.detection.coco.masks import check_masks


def check_content(content: dict[str, Any], path: str, masks: bool = False) -> None:
    """Check all that an annotation file says, and repair what can only be meant in one way.

    Args:
        content: What :func:`~poa_mm.detection.coco.reading.read_annotations` returns. Repairs are
            made in it, and told in one warning that counts them.
        path: What messages call the file.
        masks: Whether masks are learned or counted. Otherwise they only stand in for missing boxes
            and areas.

    Raises:
        ValueError: All faults in one line, each with the number of entries and the id of the first.
    """
    findings = Findings(path, content)
    check_images(content, findings)
    check_categories(content, findings)
    check_references(content, findings)
    findings.stop_at_faults()
    annotations, sizes = content['annotations'], sizes_of(content['images'])
    if annotations:
        check_flags(annotations, findings)
        if masks:
            check_masks(annotations, sizes, findings)
        check_boxes(annotations, sizes, findings)
        findings.stop_at_faults()
        check_areas(annotations, sizes, findings)
        check_copies(content, findings)
        number_annotations(content, findings)
    findings.conclude()
