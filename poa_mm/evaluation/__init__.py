"""Evaluation on frozen features: functions on features first, glue to data sets on top."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
