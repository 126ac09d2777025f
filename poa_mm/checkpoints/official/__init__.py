"""Checkpoints of the authors' code (github.com/alipay/POA), one file a family."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
