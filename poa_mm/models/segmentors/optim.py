"""An optimiser without what is frozen."""

from typing import Any

from mmengine.optim import DefaultOptimWrapperConstructor, OptimWrapper
from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class TrainableConstructor(DefaultOptimWrapperConstructor):
    """mmengine's default constructor, less the parameters that need no gradient.

    The default one hands them to the optimiser, where they end up in every checkpoint's parameter
    groups. Weight decay goes to all that is trained, biases included.
    """

    def __call__(self, model: Any) -> OptimWrapper:
        """Build the optimiser wrapper of a model."""
        wrapper = super().__call__(model)
        groups = wrapper.optimizer.param_groups
        for group in groups:
            group['params'] = [p for p in group['params'] if p.requires_grad]
        groups[:] = [group for group in groups if group['params']]
        return wrapper
