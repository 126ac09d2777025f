"""Measure the intersection over union of one head of a sweep."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from mmseg.evaluation import IoUMetric
from mmseg.registry import METRICS

from poa_mm.segmentation.sweep import PREDICTION


@METRICS.register_module()
class HeadIoUMetric(IoUMetric):
    """mmseg's ``IoUMetric`` of one head of a ``SweepEncoderDecoder``, without the table of classes.

    Args:
        head: Index of the head.
        **kwargs: Those of ``IoUMetric``.
    """

    def __init__(self, head: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.head = head

    def process(self, data_batch: object, data_samples: Sequence[dict[str, Any]]) -> None:
        """Add the predictions of a batch."""
        field = PREDICTION.format(self.head)
        super().process(data_batch, [{**s, 'pred_sem_seg': s[field]} for s in data_samples])

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Compute aAcc, mIoU and mAcc in percent over the data set, rounded like mmseg's."""
        areas = [sum(parts) for parts in zip(*results, strict=True)]
        by_class = self.total_area_to_metrics(*areas, self.metrics, self.nan_to_num, self.beta)
        means = {key: np.round(np.nanmean(value) * 100, 2) for key, value in by_class.items()}
        return {key if key == 'aAcc' else f'm{key}': mean for key, mean in means.items()}
