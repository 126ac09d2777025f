"""Former address of :mod:`poa_mm.detection.mmdet_modules`, which configs in checkpoints name."""

import poa_mm.detection.mmdet_modules  # noqa: F401
