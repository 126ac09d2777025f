"""Launch runs, and act around the training loop: hooks, optimisers, schedules."""

import lazy_loader

from poa_mm.moved import also_former

_here, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
__getattr__ = also_former(__name__, _here)
