"""Projection heads against their formulas."""

import copy
import pickle

import pytest
import torch
import torch.nn.functional as F
from tiny.networks import randomise
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


def test_gradients_are_those_of_weight_normalisation():
    prototypes = randomise(Prototypes(8, 5)).double()
    reference = weight_norm(nn.Linear(8, 5, bias=False)).double()
    reference.parametrizations.weight.original0.data = prototypes.weight_g.data.clone()
    reference.parametrizations.weight.original1.data = prototypes.weight_v.data.clone()
    x = torch.randn(3, 8, dtype=torch.float64)
    prototypes(x).square().sum().backward()
    reference(x).square().sum().backward()
    weight = reference.parametrizations.weight
    torch.testing.assert_close(prototypes.weight_g.grad, weight.original0.grad)
    torch.testing.assert_close(prototypes.weight_v.grad, weight.original1.grad)


def test_logits_do_not_depend_on_the_scale_of_the_bottleneck():
    head = randomise(ProjectionHead(8, 5, hidden=12, bottleneck=4)).double()
    x = torch.randn(3, 6, dtype=torch.float64)
    logits = head(x)
    assert (logits.norm(dim=1) > 0).all()
    with torch.no_grad():
        head.mlp[-1].weight *= 1e6
        head.mlp[-1].bias *= 1e6
    torch.testing.assert_close(head(x), logits)


def test_logits_of_vanishing_and_huge_features_are_finite():
    head = ProjectionHead(8, 5, hidden=12, bottleneck=4)
    for scale in (0.0, 1e-30, 1e30):
        logits = head(scale * torch.randn(3, 8))
        assert logits.isfinite().all()
        assert (logits.abs() <= 1 + 1e-5).all()


def test_initialisation():
    head = MultiProjectionHead(64, num_prototypes=[256], hidden=128, bottleneck=64).heads[0]
    for weight in (head.mlp[0].weight, head.mlp[2].weight, head.prototypes.weight_v):
        assert weight.std().item() == pytest.approx(0.02, rel=0.05)
    assert all((head.mlp[index].bias == 0).all() for index in (0, 2, 4))
    assert (head.prototypes.weight_g == 1).all()


def test_prototypes_may_start_as_a_linear_layer():
    torch.manual_seed(0)
    head = MultiProjectionHead(64, [256, 512], hidden=128, bottleneck=64, prototype_init='linear')
    for part in head.heads:
        rows = part.prototypes.weight_v
        assert rows.std().item() == pytest.approx(1 / (3 * 64) ** 0.5, rel=0.02)
        assert 0.124 < rows.abs().max() <= 0.125  # uniform within 1/√64
        assert (part.prototypes.weight_g == 1).all()
        assert part.mlp[4].weight.std().item() == pytest.approx(0.02, rel=0.05)


def test_unknown_start_of_prototypes():
    with pytest.raises(
        ValueError, match=r"prototype_init .* \('trunc_normal', 'linear'\), got 'x'"
    ):
        MultiProjectionHead(64, prototype_init='x')


def test_gradients_of_the_first_layer_reach_its_slice_alone():
    head = randomise(ProjectionHead(8, 5, hidden=12, bottleneck=4)).double()
    narrow = copy.deepcopy(head)
    narrow.mlp[0] = nn.Linear(6, 12).double()
    with torch.no_grad():
        narrow.mlp[0].weight.copy_(head.mlp[0].weight[:, :6] * (8 / 6))
        narrow.mlp[0].bias.copy_(head.mlp[0].bias)
    x = torch.randn(3, 6, dtype=torch.float64)
    for network in (head, narrow):
        network(x).square().sum().backward()
    grad = head.mlp[0].weight.grad
    torch.testing.assert_close(grad[:, :6], narrow.mlp[0].weight.grad * (8 / 6))
    assert (grad[:, 6:] == 0).all()
    for name, parameter in head.named_parameters():
        if name != 'mlp.0.weight':
            torch.testing.assert_close(parameter.grad, narrow.get_parameter(name).grad)


def test_each_head_gives_its_own_logits():
    heads = randomise(MultiProjectionHead(8, num_prototypes=[3, 7], hidden=12, bottleneck=4))
    x = torch.randn(2, 6)
    for logits, head in zip(heads(x), heads.heads, strict=True):
        assert torch.equal(logits, head(x))


def test_copies_are_independent_and_equal():
    head = randomise(ProjectionHead(8, 5, hidden=12, bottleneck=4))
    x = torch.randn(3, 6)
    for twin in (copy.deepcopy(head), pickle.loads(pickle.dumps(head))):
        assert torch.equal(twin(x), head(x))
        randomise(twin, seed=1)
        assert not torch.equal(twin(x), head(x))


def test_logits_under_autocast():
    head = randomise(ProjectionHead(8, 5, hidden=12, bottleneck=4))
    x = torch.randn(3, 6)
    with torch.autocast('cpu', torch.bfloat16):
        logits = head(x)
    torch.testing.assert_close(logits.float(), head(x), rtol=0, atol=0.05)


@pytest.mark.parametrize('numbers', [4, [4.5], ['8']])
def test_numbers_of_prototypes_that_are_none(numbers):
    with pytest.raises((TypeError, ValueError), match='num_prototypes'):
        MultiProjectionHead(8, num_prototypes=numbers)


def test_the_bottleneck_is_normalised_in_float32_under_autocast():
    head = randomise(ProjectionHead(8, 5, hidden=12, bottleneck=4))
    seen = []
    head.prototypes.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    with torch.autocast('cpu', torch.bfloat16):
        head(torch.randn(64, 8))
    assert seen[0].dtype == torch.float32
    torch.testing.assert_close(seen[0].norm(dim=-1), torch.ones(64), rtol=0, atol=1e-6)
