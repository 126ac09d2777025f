"""The model within what a run puts around it."""

import pytest
from mmengine.model import BaseTTAModel, MMDistributedDataParallel
from torch import nn

from poa_mm.engine.inner_model import inner_model


class Views(BaseTTAModel):
    def __init__(self, module):
        nn.Module.__init__(self)
        self.module = module

    def merge_preds(self, data_samples_list):
        return data_samples_list


def distributed(model):
    """As DDP holds it, without a process group."""
    wrapper = MMDistributedDataParallel.__new__(MMDistributedDataParallel)
    nn.Module.__init__(wrapper)
    wrapper.module = model
    return wrapper


@pytest.mark.parametrize(
    'wrap',
    [lambda m: m, Views, distributed, lambda m: distributed(Views(m))],
    ids=['bare', 'views', 'distributed', 'both'],
)
def test_the_model_within(wrap):
    model = nn.Linear(1, 1)
    assert inner_model(wrap(model)) is model
