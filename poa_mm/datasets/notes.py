"""Log each remark on image files once."""

import zlib

import torch

from poa_mm.datasets.images import SCALED, log_note


class FileNotes:
    """Warns of each file or kind of file once, across all workers of a loader.

    A data set hands one to :func:`~poa_mm.datasets.read_image`, and takes it along to its workers.
    """

    SLOTS = 2**20  # a byte each; of two texts in one slot the second is lost

    def __init__(self) -> None:
        self._said = torch.zeros(self.SLOTS, dtype=torch.bool).share_memory_()

    def __call__(self, about: str, text: str) -> None:
        """Log a remark, unless one on the same subject was logged before."""
        slot = zlib.crc32(about.encode(errors='surrogateescape')) % self.SLOTS
        if self._said[slot]:
            return
        self._said[slot] = True
        more = '; further files of this kind are not named' if about == SCALED else ''
        log_note(about, text + more)
