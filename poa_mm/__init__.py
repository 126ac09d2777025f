"""poa_mm: POA, one self-supervised pre-training session for models of all sizes, on OpenMMLab.

Importing the package registers its classes with mmpretrain, so that configs find them by name, and
imports the families of other packages.
"""

__version__ = '0.1.0'

import importlib.util

_missing = [
    name for name in ('mmengine', 'mmcv', 'mmpretrain') if importlib.util.find_spec(name) is None
]
if _missing:
    raise ImportError(
        f'poa_mm needs {", ".join(_missing)}; install the OpenMMLab packages with '
        "pip install 'poa_mm[onedl]' (in a checkout: pip install -e '.[onedl]')"
    )

from poa_mm import compat  # noqa: E402  # after the check, so that its message comes first

compat.install()  # before anything of OpenMMLab is imported

from poa_mm import datasets, engine, evaluation, export, models  # noqa: E402  # registers all classes
from poa_mm.engine import load_backbone, load_supernet  # noqa: E402
from poa_mm.families import load_families  # noqa: E402

__all__ = [
    '__version__',
    'compat',
    'datasets',
    'engine',
    'evaluation',
    'export',
    'load_backbone',
    'load_supernet',
    'models',
]

load_families()  # last: they build on all of the above
