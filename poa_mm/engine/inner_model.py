"""Find the model of a config within the wrappers of a run."""

from typing import Any

from mmengine.model import BaseTTAModel, is_model_wrapper
from torch import nn


def inner_model(model: nn.Module) -> Any:
    """Return the model within the wrappers for distribution and test-time augmentation.

    Args:
        model: As a runner has it: bare, in DDP, in a model of test-time augmentation, or both.
    """
    inner: Any = model
    while is_model_wrapper(inner) or isinstance(inner, BaseTTAModel):
        inner = inner.module
    return inner
