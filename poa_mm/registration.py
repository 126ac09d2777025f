"""Register the classes of this package when a name is first looked up in a registry.

Until then ``import poa_mm`` has imported nothing of OpenMMLab. A config that names
``custom_imports = dict(imports=['poa_mm'])`` and a script that imports poa_mm find the classes all
the same, as whoever builds something looks its name up in a registry.
"""

import importlib
from typing import Any

from poa_mm.compat.on_import import after_import

# All that register classes, but for the parts of detectors and segmentors: mmdet and mmseg are
# optional, and configs that need these parts import them.
MODULES = (
    'poa_mm.checkpoints.subnet_scheme',  # which registers a scheme of addresses
    'poa_mm.classification',
    'poa_mm.datasets',
    'poa_mm.detection',
    'poa_mm.engine.hooks',
    'poa_mm.engine.launch',
    'poa_mm.engine.optim_wrapper',
    'poa_mm.engine.parameter_groups',
    'poa_mm.evaluation.label_free.collapse_hook',
    'poa_mm.evaluation.knn.monitor_hook',
    'poa_mm.evaluation.networks.frozen_teacher',
    'poa_mm.models',
    'poa_mm.segmentation',
)
_begun = False


def install() -> None:
    """Register before the first lookup, as soon as there are registries."""
    after_import('mmengine.registry', _watch_lookups)
    after_import('mmseg.datasets.basesegdataset', _find_images_of_any_suffix)


def register_all() -> None:
    """Import all modules that register classes; a second call changes nothing.

    Raises:
        ImportError: One of them, or what it needs, cannot be imported.
    """
    global _begun
    if _begun:  # done, or asked for by one of the modules
        return
    _begun = True
    try:
        for module in MODULES:
            importlib.import_module(module)
    except BaseException:
        _begun = False
        raise


def _find_images_of_any_suffix() -> None:
    importlib.import_module('poa_mm.segmentation.suffixes').install()


def _watch_lookups() -> None:
    """Register before a name is looked up, and before the table of all names is handed out."""
    from mmengine.registry import Registry

    import_from_location = Registry.import_from_location

    def import_from_location_and_here(self: Any) -> None:
        import_from_location(self)
        register_all()

    def module_dict(self: Any) -> dict[str, type]:
        register_all()
        return self._module_dict

    Registry.import_from_location = import_from_location_and_here
    Registry.module_dict = property(module_dict)
