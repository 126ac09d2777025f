"""Former address of :mod:`poa_mm.segmentation.mmseg_modules`, which configs in checkpoints name."""

import poa_mm.segmentation.mmseg_modules  # noqa: F401
