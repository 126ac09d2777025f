"""Compute COCO's metrics with an annotation file that has been checked."""

from collections.abc import Sequence
from typing import Any

from mmdet.evaluation import CocoMetric
from mmdet.registry import METRICS
from mmengine.fileio import get_local_path

from poa_mm.detection.coco.api import CheckedCOCO


@METRICS.register_module()
class CheckedCocoMetric(CocoMetric):
    """mmdet's ``CocoMetric`` that checks and repairs its annotation file when it is built.

    Annotation ids from 0 would lower the score of perfect predictions, and annotations without
    ``iscrowd`` raise a KeyError.

    Args:
        ann_file: Annotation file; by default the objects of the data set.
        metric: ``'bbox'``, ``'segm'``, ``'proposal'`` or several of them.
        sort_categories: Put the categories into the order of their ids.
        **kwargs: Those of mmdet's ``CocoMetric``.

    Raises:
        FileNotFoundError: No such file.
        ValueError: A file that is damaged, of another format or full of faults; says which. A file
            without annotations, unless predictions are only written.
    """

    def __init__(
        self,
        ann_file: str | None = None,
        metric: str | Sequence[str] = 'bbox',
        sort_categories: bool = False,
        **kwargs: Any,
    ) -> None:
        metrics = [metric] if isinstance(metric, str) else list(metric)
        super().__init__(metric=metrics, **kwargs)
        if ann_file is None:
            return
        with get_local_path(ann_file, backend_args=self.backend_args) as path:
            self._coco_api = CheckedCOCO(path, 'segm' in metrics, ann_file, sort_categories)
        if not (self.format_only or self._coco_api.anns):
            raise ValueError(
                f'{ann_file} has no annotations to compare predictions with; set format_only=True '
                'and outfile_prefix to write predictions alone'
            )
