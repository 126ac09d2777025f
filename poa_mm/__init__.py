"""poa_mm: POA, one self-supervised pre-training session for models of all sizes, on OpenMMLab.

Importing the package imports next to nothing: its modules, listed in ``__init__.pyi``, are
imported when they are used, and its classes join mmpretrain's registries when one of these is first
asked for a name, so that configs find them. Families of other packages are imported at once.
"""

import importlib.util

_missing = [
    name for name in ('mmengine', 'mmcv', 'mmpretrain') if importlib.util.find_spec(name) is None
]
if _missing:
    raise ImportError(
        f'poa_mm needs {", ".join(_missing)}; install the OpenMMLab packages with '
        "pip install 'poa_mm[onedl]' (in a checkout: pip install -e '.[onedl]')"
    )

import lazy_loader  # noqa: E402  # after the check, so that its message comes first

from poa_mm import compat, registration  # noqa: E402
from poa_mm.families import load_families  # noqa: E402
from poa_mm.version import __version__  # noqa: E402, F401

compat.install()  # before anything of OpenMMLab is imported
registration.install()

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

load_families()  # last: they build on all of the above
