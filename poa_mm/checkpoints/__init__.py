"""Checkpoints: opening them, building what they describe, and what they know of their images."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
