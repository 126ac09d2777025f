"""Former address of :mod:`poa_mm.checkpoints.official`."""

from poa_mm.checkpoints.official import *  # noqa: F403
