"""Projection heads against their formulas."""

import pytest
import torch
import torch.nn.functional as F
from tiny import randomise
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

from poa_mm.models.heads import MultiProjectionHead, ProjectionHead, Prototypes


def test_prototypes_are_a_weight_normalised_layer():
    prototypes = randomise(Prototypes(8, 5))
    reference = weight_norm(nn.Linear(8, 5, bias=False))
    reference.parametrizations.weight.original0.data = prototypes.weight_g.data
    reference.parametrizations.weight.original1.data = prototypes.weight_v.data
    x = torch.randn(3, 8)
    torch.testing.assert_close(prototypes(x), reference(x))


def test_gain_starts_at_one():
    x = F.normalize(torch.randn(3, 8), dim=-1)
    assert Prototypes(8, 5)(x).abs().max() <= 1 + 1e-6


@pytest.mark.parametrize('width', [6, 8])
def test_head_by_hand(width):
    head = randomise(ProjectionHead(8, 5, hidden=12, bottleneck=4)).double()
    first, _, second, _, third = head.mlp
    x = torch.randn(3, width, dtype=torch.float64)
    hidden = F.gelu(x @ (first.weight[:, :width] * 8 / width).T + first.bias)
    hidden = F.gelu(hidden @ second.weight.T + second.bias)
    bottleneck = hidden @ third.weight.T + third.bias
    bottleneck = bottleneck / bottleneck.norm(dim=-1, keepdim=True)
    v = head.prototypes.weight_v
    weight = head.prototypes.weight_g * v / v.norm(dim=-1, keepdim=True)
    torch.testing.assert_close(head(x), bottleneck @ weight.T, rtol=0, atol=1e-12)


def test_heads_differ_in_prototypes():
    head = MultiProjectionHead(8, num_prototypes=[3, 7], hidden=12, bottleneck=4)
    assert [tuple(logits.shape) for logits in head(torch.randn(2, 6))] == [(2, 3), (2, 7)]


@pytest.mark.parametrize('numbers', [[], [1, 4]])
def test_wrong_numbers_of_prototypes(numbers):
    with pytest.raises(ValueError, match='num_prototypes'):
        MultiProjectionHead(8, num_prototypes=numbers)
