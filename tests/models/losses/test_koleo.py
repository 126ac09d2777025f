"""Eq. 13 against loops, and at its edges."""

import math

import pytest
import torch

from poa_mm.models.losses import koleo_loss


def reference(features):
    unit = [[v / math.hypot(*row) for v in row] for row in features.tolist()]
    logs = []
    for i, mine in enumerate(unit):
        logs.append(math.log(min(math.dist(mine, o) for j, o in enumerate(unit) if j != i)))
    return -sum(logs) / len(logs)


@pytest.mark.parametrize('shape', [(2, 3), (7, 5), (32, 16)])
def test_equals_the_loops(shape):
    features = torch.randn(shape, generator=torch.Generator().manual_seed(0)).double()
    assert koleo_loss(features).item() == pytest.approx(reference(features), abs=1e-12)


def test_two_opposite_features():
    features = torch.tensor([[3.0, 0.0], [-0.1, 0.0]]).double()
    assert koleo_loss(features).item() == pytest.approx(-math.log(2))


def test_a_step_down_its_slope_spreads_the_features():
    features = torch.randn(8, 4, generator=torch.Generator().manual_seed(1)).double()
    features.requires_grad_()
    loss = koleo_loss(features)
    loss.backward()
    assert koleo_loss(features.detach() - 1e-3 * features.grad) < loss
    assert torch.autograd.gradcheck(koleo_loss, features)


def test_equal_features_have_a_finite_loss_and_gradient():
    features = torch.ones(3, 4, requires_grad=True)
    loss = koleo_loss(features)
    loss.backward()
    assert loss.item() == pytest.approx(-math.log(1e-8))
    assert features.grad.isfinite().all()


def test_half_precision_is_worked_on_in_float32():
    features = torch.randn(16, 8, generator=torch.Generator().manual_seed(2)).bfloat16()
    with torch.autocast('cpu', torch.bfloat16):
        loss = koleo_loss(features)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(reference(features.double()), abs=1e-5)


def test_one_image_has_no_neighbour():
    with pytest.raises(ValueError, match='at least 2 images per GPU, got 1'):
        koleo_loss(torch.ones(1, 4))
