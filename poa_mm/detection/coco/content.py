"""Check a whole annotation file."""

from poa_mm.detection.coco.boxes import check_areas, check_boxes, check_flags
from poa_mm.detection.coco.findings import Content, Findings
from poa_mm.detection.coco.ids import (
    check_categories,
    check_copies,
    check_images,
    check_references,
    number_annotations,
    sizes_of,
)
from poa_mm.detection.coco.masks import check_masks


def check_content(content: Content, path: str, masks: bool = False) -> None:
    """Check the content of an annotation file, and repair what has only one possible meaning.

    Args:
        content: Result of :func:`~poa_mm.detection.coco.reading.read_annotations`. It is repaired
            in place; one warning counts the repairs.
        path: Name of the file in messages.
        masks: Whether masks are learned or evaluated. Otherwise only missing boxes and areas are
            computed from them.

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
