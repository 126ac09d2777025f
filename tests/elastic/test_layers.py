"""Slices of the elastic layers against Eq. 2 and 3 written out."""

import copy
import pickle

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from poa_mm.elastic import (
    ElasticConv2d,
    ElasticGroupNorm,
    ElasticInputConv2d,
    ElasticInputLinear,
    ElasticLayer,
    ElasticLayerNorm,
    ElasticLayerScale,
    ElasticLinear,
    ElasticOutputConv2d,
    ElasticQKV,
    make_elastic,
    num_sliced,
    set_alpha_scaling,
)

D, D_I = 8, 6
ALPHA = D / D_I


def test_linear_slices_both_sides_and_scales_the_weight():
    layer = ElasticLinear(D, 4 * D).double()
    x = torch.randn(3, D_I, dtype=torch.float64)
    by_hand = x @ (layer.weight[: 4 * D_I, :D_I] * ALPHA).T + layer.bias[: 4 * D_I]
    torch.testing.assert_close(layer(x), by_hand, rtol=0, atol=1e-12)
    on_input = F.linear(x * ALPHA, layer.weight[: 4 * D_I, :D_I], layer.bias[: 4 * D_I])
    torch.testing.assert_close(layer(x), on_input, rtol=0, atol=1e-12)


def test_qkv_keeps_the_first_rows_of_each_of_q_k_v():
    layer = ElasticQKV(D, 3 * D).double()
    x = torch.randn(3, D_I, dtype=torch.float64)
    q, k, v = layer(x).chunk(3, dim=-1)
    for part, start in ((q, 0), (k, D), (v, 2 * D)):
        rows = slice(start, start + D_I)
        by_hand = x @ (layer.weight[rows, :D_I] * ALPHA).T + layer.bias[rows]
        torch.testing.assert_close(part, by_hand, rtol=0, atol=1e-12)


def test_input_linear_keeps_all_outputs():
    layer = ElasticInputLinear(D, 5).double()
    x = torch.randn(3, D_I, dtype=torch.float64)
    by_hand = x @ (layer.weight[:, :D_I] * ALPHA).T + layer.bias
    torch.testing.assert_close(layer(x), by_hand, rtol=0, atol=1e-12)


def test_layer_norm_normalises_the_prefix():
    layer = ElasticLayerNorm(D, eps=1e-6).double()
    nn.init.normal_(layer.weight)
    nn.init.normal_(layer.bias)
    x = torch.randn(3, D_I, dtype=torch.float64)
    variance, mean = torch.var_mean(x, dim=-1, keepdim=True, unbiased=False)
    by_hand = (x - mean) / (variance + 1e-6).sqrt() * layer.weight[:D_I] + layer.bias[:D_I]
    torch.testing.assert_close(layer(x), by_hand, rtol=0, atol=1e-12)


def test_convolution_has_no_alpha():
    layer = ElasticOutputConv2d(3, D, 4, stride=4).double()
    x = torch.randn(2, 3, 8, 8, dtype=torch.float64)
    torch.testing.assert_close(
        layer(x, D_I), F.conv2d(x, layer.weight, layer.bias, stride=4)[:, :D_I], rtol=0, atol=1e-12
    )


def test_convolution_within_a_bottleneck():
    """Eq. 12: the first D_i of inputs and outputs, times α; the bias is not scaled."""
    layer = ElasticConv2d(D, 2 * D, 3, padding=1, stride=2).double()
    x = torch.randn(2, D_I, 6, 6, dtype=torch.float64)
    weight, bias = layer.weight[: 2 * D_I, :D_I] * ALPHA, layer.bias[: 2 * D_I]
    by_hand = F.conv2d(x, weight, bias, padding=1, stride=2)
    torch.testing.assert_close(layer(x), by_hand, rtol=0, atol=1e-12)
    assert num_sliced(layer, D_I) == weight.numel() + bias.numel()
    with pytest.raises(AssertionError, match='no slice of width 5'):
        ElasticConv2d(D, 3, 1)(torch.randn(1, 5, 2, 2))


def test_convolution_out_of_a_bottleneck():
    layer = ElasticInputConv2d(D, 5, 1).double()
    x = torch.randn(2, D_I, 6, 6, dtype=torch.float64)
    by_hand = F.conv2d(x, layer.weight[:, :D_I] * ALPHA, layer.bias)
    torch.testing.assert_close(layer(x), by_hand, rtol=0, atol=1e-12)
    assert num_sliced(layer, D_I) == 5 * D_I + 5


def test_group_norm_forms_its_groups_within_the_prefix():
    layer = ElasticGroupNorm(2, D, eps=1e-3).double()
    nn.init.normal_(layer.weight)
    nn.init.normal_(layer.bias)
    x = torch.randn(3, D_I, 4, 5, dtype=torch.float64)
    groups = x.view(3, 2, -1)
    variance, mean = torch.var_mean(groups, dim=2, keepdim=True, unbiased=False)
    normalised = ((groups - mean) / (variance + 1e-3).sqrt()).view_as(x)
    by_hand = normalised * layer.weight[:D_I, None, None] + layer.bias[:D_I, None, None]
    torch.testing.assert_close(layer(x), by_hand, rtol=0, atol=1e-12)
    assert num_sliced(layer, D_I) == 2 * D_I


class Outer(nn.Linear):
    """A layer of one's own: elastic in input and output, and in proportion to neither."""

    @property
    def full_width(self):
        return self.in_features

    def sliced(self, width):
        return {'weight': self.weight[:width, :width], 'bias': self.bias}


class Gated(ElasticLinear):
    """Keeps all rows, where its base class would count a share of them."""

    def sliced(self, width):
        return {'weight': self.weight[:, :width], 'bias': self.bias}


@pytest.mark.parametrize('kind', [Outer, Gated])
@pytest.mark.parametrize('width', [1, D_I, D])
def test_layers_of_one_s_own_are_counted_by_their_slices(kind, width):
    layer = kind(D, D)
    assert isinstance(layer, ElasticLayer)
    assert num_sliced(layer, width) == (width if kind is Outer else D) * width + D


def test_layer_scale():
    layer = ElasticLayerScale()
    layer.weight = nn.Parameter(torch.arange(D, dtype=torch.float32))
    assert torch.equal(layer(torch.ones(2, D_I)), torch.arange(6.0).expand(2, -1))


@pytest.mark.parametrize(
    ('stock', 'elastic', 'shape'),
    [
        (nn.Linear(D, 3), ElasticLinear, (2, D)),
        (nn.Linear(D, 3, bias=False), ElasticLinear, (2, D)),
        (nn.Linear(D, 3 * D), ElasticQKV, (2, D)),
        (nn.LayerNorm(D), ElasticLayerNorm, (2, D)),
        (nn.Conv2d(3, D, 2), ElasticOutputConv2d, (2, 3, 4, 4)),
        (nn.Conv2d(3, D, 2, bias=False), ElasticOutputConv2d, (2, 3, 4, 4)),
        (nn.Conv2d(D, 2 * D, 3), ElasticConv2d, (2, D, 4, 4)),
        (nn.Conv2d(D, 5, 1, bias=False), ElasticInputConv2d, (2, D, 4, 4)),
        (nn.GroupNorm(2, D), ElasticGroupNorm, (2, D, 4, 4)),
    ],
)
def test_intact_layers_equal_the_stock_ones_bit_for_bit(stock, elastic, shape):
    x = torch.randn(shape)
    expected = stock(x)
    parameters = dict(stock.named_parameters())
    make_elastic(stock, {type(stock): elastic})
    assert type(stock) is elastic
    assert torch.equal(stock(x), expected)
    assert all(stock.get_parameter(name) is value for name, value in parameters.items())


def test_gradients_reach_the_slice_alone():
    layer = ElasticQKV(D, 3 * D)
    layer(torch.randn(5, D_I)).square().sum().backward()
    inside = torch.zeros(3, D, D, dtype=torch.bool)
    inside[:, :D_I, :D_I] = True
    grad = layer.weight.grad.view(3, D, D)
    assert (grad[inside] != 0).all()
    assert (grad[~inside] == 0).all()
    assert (layer.bias.grad.view(3, D)[:, D_I:] == 0).all()


LAYERS = {
    'linear': (lambda: ElasticLinear(D, 4 * D), nn.Linear(D_I, 4 * D_I)),
    'linear without bias': (
        lambda: ElasticLinear(4 * D, D, bias=False),
        nn.Linear(4 * D_I, D_I, bias=False),
    ),
    'qkv': (lambda: ElasticQKV(D, 3 * D), nn.Linear(D_I, 3 * D_I)),
    'qkv without bias': (
        lambda: ElasticQKV(D, 3 * D, bias=False),
        nn.Linear(D_I, 3 * D_I, bias=False),
    ),
    'input linear': (lambda: ElasticInputLinear(D, 5), nn.Linear(D_I, 5)),
    'norm': (lambda: ElasticLayerNorm(D), nn.LayerNorm(D_I)),
}


@pytest.fixture(params=LAYERS)
def pair(request):
    """An elastic layer, and a stock one of 3/4 of its width with the sliced weights."""
    make, stock = LAYERS[request.param]
    torch.manual_seed(0)
    layer = make()
    for parameter in layer.parameters():
        nn.init.normal_(parameter)
    stock = copy.deepcopy(stock)
    width = layer.full_width * D_I // D
    stock.load_state_dict(layer.sliced(width))
    return layer, stock, torch.randn(5, width)


def test_a_slice_is_the_stock_layer_bit_for_bit(pair):
    layer, stock, x = pair
    assert torch.equal(layer(x), stock(x))
    for dtype in (torch.float64, torch.bfloat16):
        layer.to(dtype)
        stock.to(dtype).load_state_dict(layer.sliced(x.shape[-1]))
        assert torch.equal(layer(x.to(dtype)), stock(x.to(dtype)))


def test_without_alpha_a_slice_is_the_plain_one(pair):
    layer, stock, x = pair
    scaled = layer.sliced(x.shape[-1])
    set_alpha_scaling(layer, False)
    plain = layer.sliced(x.shape[-1])
    stock.load_state_dict(plain)
    assert torch.equal(layer(x), stock(x))
    alpha = 1.0 if isinstance(layer, nn.LayerNorm) else ALPHA
    assert torch.equal(plain['weight'] * alpha, scaled['weight'])
    assert num_sliced(layer, x.shape[-1]) == sum(part.numel() for part in plain.values())
    assert not copy.deepcopy(layer).sliced(x.shape[-1])['weight'].ne(plain['weight']).any()
    set_alpha_scaling(layer, True)
    assert torch.equal(layer.sliced(x.shape[-1])['weight'], scaled['weight'])


def test_a_slice_is_the_stock_layer_under_autocast(pair):
    layer, stock, x = pair
    with torch.autocast('cpu', torch.bfloat16):
        assert torch.equal(layer(x), stock(x))


def test_gradients_are_those_of_the_stock_layer_times_alpha(pair):
    layer, stock, x = (part.double() for part in pair)
    stock.load_state_dict(layer.sliced(x.shape[-1]))  # α = 4/3 is not exact in float32
    layer(x).square().sum().backward()
    stock(x).square().sum().backward()
    alpha = 1.0 if isinstance(layer, nn.LayerNorm) else ALPHA
    for name, parameter in layer.named_parameters():
        scale = alpha if name == 'weight' else 1.0
        inside = parameter.grad != 0
        expected = stock.get_parameter(name).grad * scale
        assert inside.sum() == expected.numel()
        torch.testing.assert_close(
            parameter.grad[inside], expected.flatten(), rtol=1e-12, atol=1e-12
        )


def test_second_derivatives(pair):
    layer, _, x = pair
    layer, x = layer.double(), x.double().requires_grad_()
    assert torch.autograd.gradgradcheck(layer, (x,))


def test_names_and_protocol(pair):
    layer, stock, _ = pair
    assert isinstance(layer, ElasticLayer)
    assert not isinstance(stock, ElasticLayer)
    assert layer.sliced(layer.full_width).keys() == layer.state_dict().keys()
    twin = pickle.loads(pickle.dumps(layer))
    assert type(twin) is type(layer)


def test_a_width_without_a_slice():
    with pytest.raises(AssertionError, match='no slice of width 3'):
        ElasticLinear(8, 12)(torch.randn(2, 3))


def test_make_elastic_leaves_other_layers_and_is_idempotent():
    network = nn.Sequential(nn.Linear(D, D), nn.ReLU(), nn.LayerNorm(D))
    for _ in range(2):
        make_elastic(network, {nn.Linear: ElasticLinear})
        assert [type(layer) for layer in network] == [ElasticLinear, nn.ReLU, nn.LayerNorm]


@pytest.mark.parametrize('make', [ElasticLinear, ElasticQKV, ElasticInputLinear])
def test_alpha_on_the_input_is_alpha_on_the_weight(make):
    layer = make(D, 3 * D).double()
    x = torch.randn(5, D_I, dtype=torch.float64)
    sliced = {name: part.detach() for name, part in layer.sliced(D_I).items()}
    unscaled = F.linear(x * ALPHA, sliced['weight'] / ALPHA, sliced['bias'])
    torch.testing.assert_close(layer(x), unscaled, rtol=0, atol=1e-12)


@pytest.mark.parametrize('bias', [True, False])
def test_convolution_slice_and_gradients(bias):
    layer = ElasticOutputConv2d(3, D, 4, stride=4, bias=bias).double()
    stock = nn.Conv2d(3, D_I, 4, stride=4, bias=bias).double()
    stock.load_state_dict(layer.sliced(D_I))
    x = torch.randn(2, 3, 8, 8, dtype=torch.float64)
    assert torch.equal(layer(x, D_I), stock(x))
    layer(x, D_I).square().sum().backward()
    stock(x).square().sum().backward()
    for name, parameter in layer.named_parameters():
        torch.testing.assert_close(parameter.grad[:D_I], stock.get_parameter(name).grad)
        assert (parameter.grad[D_I:] == 0).all()


def test_layer_scale_gradients():
    layer = ElasticLayerScale()
    layer.weight = nn.Parameter(torch.ones(D))
    x = torch.randn(5, D_I)
    layer(x).sum().backward()
    torch.testing.assert_close(layer.weight.grad[:D_I], x.sum(dim=0))
    assert (layer.weight.grad[D_I:] == 0).all()


def test_make_elastic_keeps_the_state_of_its_modules():
    network = nn.Sequential(nn.Linear(D, D), nn.LayerNorm(D)).eval()
    network[0].bias.requires_grad_(False)
    network[0].register_buffer('count', torch.tensor(7))
    calls = []
    network[0].register_forward_hook(lambda *_: calls.append(1))
    before = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    make_elastic(network, {nn.Linear: ElasticLinear, nn.LayerNorm: ElasticLayerNorm})
    after = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    assert before.keys() == after.keys()
    assert all(after[name] is value for name, value in before.items())
    assert not network[0].bias.requires_grad
    assert not network[0].training
    network(torch.randn(2, D_I))
    assert calls == [1]
