"""The model of a config within what a run puts around it."""

from typing import Any

from mmengine.model import BaseTTAModel, is_model_wrapper


def inner_model(model: Any) -> Any:
    """The model within what distributes it and what augments its tests.

    Args:
        model: As a runner has it: bare, in DDP, in a model of test-time augmentation, or both.
    """
    while is_model_wrapper(model) or isinstance(model, BaseTTAModel):
        model = model.module
    return model
