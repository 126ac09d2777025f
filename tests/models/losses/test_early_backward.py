"""A backward pass that runs early hands on what a late one would have found."""

import weakref

import pytest
import torch
from torch import nn

from poa_mm.models.losses import backward_now


@pytest.fixture
def layers():
    torch.manual_seed(0)
    return nn.ModuleList([nn.Linear(3, 3), nn.Linear(3, 3), nn.Linear(3, 3)]).double()


def losses(layers):
    """One on layers 0 and 1, one on layers 1 and 2."""
    x = torch.ones(2, 3).double()
    return layers[1](layers[0](x)).square().sum(), layers[2](layers[1](x)).sin().sum()


@pytest.mark.parametrize('scale', [1.0, 0.25, 2.0**16])
def test_gradients_add_up_and_take_the_scale(layers, scale):
    first, second = losses(layers)
    (scale * (3 * first + second)).backward()
    expected = [parameter.grad for parameter in layers.parameters()]
    layers.zero_grad()
    first, second = losses(layers)
    early = backward_now(3 * first, list(layers.parameters()))
    assert early.item() == 3 * first.item()
    (scale * (early + second)).backward()
    for parameter, gradient in zip(layers.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient)


def test_a_parameter_without_a_part_in_it_gets_no_gradient(layers):
    backward_now(losses(layers)[0], list(layers.parameters())).backward()
    assert layers[2].weight.grad is None
    assert layers[0].weight.grad is not None


def test_the_graph_is_gone(layers):
    hidden = layers[0](torch.ones(2, 3).double())
    alive = weakref.ref(hidden.square_())
    early = backward_now(hidden.sum(), list(layers[0].parameters()))
    del hidden
    assert alive() is None
    early.backward()
    assert layers[0].weight.grad is not None


def test_a_second_backward_pass_says_what_is_wrong(layers):
    early = backward_now(losses(layers)[0], list(layers.parameters()))
    early.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match='differentiated already'):
        early.backward()


def test_float16_waits_for_the_scaler_and_no_grad_for_nothing(layers):
    layers.float()
    x = torch.ones(2, 3)
    with torch.autocast('cpu', torch.float16):
        loss = layers[0](x).float().sum()
        assert backward_now(loss, list(layers.parameters())) is loss
    with torch.autocast('cpu', torch.bfloat16):
        loss = layers[0](x).float().sum()
        assert backward_now(loss, list(layers.parameters())) is not loss
    with torch.no_grad():
        loss = layers[0](x).sum()
        assert backward_now(loss, list(layers.parameters())) is loss
