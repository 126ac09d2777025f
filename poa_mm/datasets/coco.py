"""Former address of :mod:`poa_mm.detection.coco`, which configs in checkpoints name."""

from poa_mm.detection.coco import *  # noqa: F403
