"""Fix defects of other packages, one file each: the defect, the versions affected, the fix."""

import functools
import importlib

from poa_mm.compat import mmcv_ops, rare_transforms, unasked_mmdet
from poa_mm.compat.on_import import after_import

__all__ = ['install']

# By the module that has the defect: the file that fixes it.
FIXES = {
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
    """Fix the defects of other packages, each as soon as its module is imported.

    ``import poa_mm`` calls it, so that it runs before anything of OpenMMLab is used. Calling it
    again changes nothing.
    """
    rare_transforms.install()
    mmcv_ops.install()
    unasked_mmdet.install()
    for module, fix in FIXES.items():
        after_import(module, functools.partial(_install, fix))


def _install(fix: str) -> None:
    importlib.import_module(f'{__name__}.{fix}').install()
