"""Open checkpoints, build the networks in them, and prepare images for these."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
