"""Former address of :mod:`poa_mm.segmentation.mmseg_modules`, which configs in checkpoints name."""

from poa_mm.segmentation.mmseg_modules import *  # noqa: F403
