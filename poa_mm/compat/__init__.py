"""Everything that exists only because of another package's defect, one file each."""

import functools
import importlib

from poa_mm.compat import mmcv_ops, unasked_mmdet
from poa_mm.compat.on_import import after_import

__all__ = ['install']

# By the module that has the defect: the file that mends it.
MENDS = {
    'mmcv.ops.roi_align': 'roi_align_layout',
    'mmengine.config': 'config_bases',
    'mmengine.dataset': 'empty_dataset',
    'mmengine.logging': 'onedl_message',
    'mmengine.runner': 'whole_checkpoints',
    'mmengine.runner.checkpoint': 'prefix_metadata',
    'mmpretrain.models.backbones.vision_transformer': 'position_grid',
    'mmpretrain.models.utils.embed': 'relative_bias',
    'torch': 'log_buffers',
}


@functools.cache  # once, however often it is called
def install() -> None:
    """Mend the defects of other packages, of each as soon as it is imported.

    ``import poa_mm`` calls it, so that it runs before anything of OpenMMLab is used. Calling it
    again changes nothing.
    """
    mmcv_ops.install()
    unasked_mmdet.install()
    for module, mend in MENDS.items():
        after_import(module, functools.partial(_install, mend))


def _install(mend: str) -> None:
    importlib.import_module(f'{__name__}.{mend}').install()
