"""Everything that exists only because of another package's defect, one file each."""

from poa_mm.compat import (
    config_bases,
    empty_dataset,
    log_buffers,
    mmcv_ops,
    onedl_message,
    roi_align_layout,
    whole_checkpoints,
)

__all__ = ['install']


def install() -> None:
    """Mend the defects of this package's modules.

    ``import poa_mm`` calls it, so that it runs before anything of OpenMMLab is used. Calling it
    again changes nothing.
    """
    mmcv_ops.install()
    roi_align_layout.install()
    config_bases.install()
    log_buffers.install()
    empty_dataset.install()
    onedl_message.install()
    whole_checkpoints.install()
