"""Former address of :mod:`poa_mm.detection.mmdet_modules`, which configs in checkpoints name."""

from poa_mm.detection.mmdet_modules import *  # noqa: F403
