"""The elastic ViT against stock networks whose weights are cut by Eq. 2, 3 and 4 as printed."""

import copy
import pickle

import pytest
import torch
from by_hand import slice_by_hand, stock_by_hand
from mmpretrain.models.backbones import VisionTransformer
from tiny.networks import TINY_BACKBONE, randomise
from torch.func import functional_call
from torch.utils.checkpoint import checkpoint

from poa_mm.models.backbones import ElasticVisionTransformer

STOCK = {'img_size': 16, 'patch_size': 4, 'layer_scale_init_value': 1.0}
ELASTIC = {key: TINY_BACKBONE[key] for key in ('arch', 'widths', 'depths')}
VARIANTS = {
    'plain': {},
    'all out_indices': {'out_indices': [0, -1], 'out_type': 'raw'},
    'feature map': {'out_type': 'featmap', 'out_indices': [-2, 1]},
    'average': {'out_type': 'avg_featmap'},
    'no class token': {'with_cls_token': False, 'out_type': 'raw'},
    'no class token, average': {'with_cls_token': False, 'out_type': 'avg_featmap'},
    'pre-norm': {'pre_norm': True},
    'no qkv bias': {'qkv_bias': False},
    'no final norm': {'final_norm': False},
    'no LayerScale': {'layer_scale_init_value': 0.0},
    'other eps': {'norm_cfg': {'type': 'LN', 'eps': 0.1}},
    'norm after patches': {'patch_cfg': {'norm_cfg': {'type': 'LN'}}},
    'overlapping patches': {'patch_cfg': {'stride': 3}},
    'grey images': {'in_channels': 1},
    'bilinear': {'interpolate_mode': 'bilinear'},
    'oblong': {'img_size': (16, 24)},
    'ReLU': {'layer_cfgs': {'act_cfg': {'type': 'ReLU'}}},
    'frozen': {'frozen_stages': 2},
}


def build(arguments=None, dtype=torch.float64, **elastic):
    net = ElasticVisionTransformer(**{**ELASTIC, **elastic, **STOCK, **(arguments or {})})
    randomise(net).to(dtype)
    net.eval()
    return net


def images(size=(16, 16), channels=3, dtype=torch.float64):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(3, channels, *size, generator=generator, dtype=torch.float64).to(dtype)


@pytest.mark.parametrize('arguments', VARIANTS.values(), ids=VARIANTS)
def test_every_sub_network_equals_the_stock_class_with_sliced_weights(arguments):
    net = build(arguments)
    crops = [
        images(size, arguments.get('in_channels', 3))
        for size in ((16, 16), (8, 8), (20, 12), (14, 14))
    ]
    for subnet in net.space:
        # A copy, because mmpretrain's class counts negative out_indices in place.
        stock = stock_by_hand(net, subnet, **copy.deepcopy({**STOCK, **arguments}))
        extracted = net.extract(subnet)
        assert net.num_params(subnet) == sum(p.numel() for p in stock.parameters())
        with torch.no_grad():
            for x in crops:
                for ours, theirs, cut in zip(net(x, subnet), stock(x), extracted(x), strict=True):
                    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-10)
                    torch.testing.assert_close(cut, theirs, rtol=0, atol=1e-10)


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16])
def test_extraction_is_exact_to_the_bit_in_lower_precision(dtype):
    net = build(dtype=dtype)
    for subnet in net.space:
        for size in ((16, 16), (8, 20)):
            x = images(size, dtype=dtype)
            assert torch.equal(net(x, subnet)[0], net.extract(subnet)(x)[0])


@pytest.mark.parametrize('name', ['w16-d2', 'w24-d3', 'w32-d3', 'w32-d4'])
def test_gradients_are_those_of_the_slices_and_zero_elsewhere(name):
    net = build()
    subnet = net.space[name]
    x = images()
    net(x, subnet)[0].square().sum().backward()
    grads = {key: p.grad for key, p in net.named_parameters()}

    state = {key: p.detach().clone().requires_grad_() for key, p in net.named_parameters()}
    sliced = slice_by_hand(state, subnet, net.arch_settings)
    stock = stock_by_hand(net, subnet, **STOCK)
    functional_call(stock, sliced, (x,))[0].square().sum().backward()
    ones = {key: torch.zeros_like(p, requires_grad=True) for key, p in state.items()}
    sum(part.sum() for part in slice_by_hand(ones, subnet, net.arch_settings).values()).backward()

    for key, expected in state.items():
        if expected.grad is None:
            assert grads[key] is None, key
            continue
        torch.testing.assert_close(grads[key], expected.grad, rtol=1e-9, atol=1e-10)
        outside = ones[key].grad == 0
        assert (grads[key][outside] == 0).all(), key
        # The keys' bias shifts all scores of a query alike, so its gradient is only rounding.
        if not key.endswith('qkv.bias'):
            assert (grads[key][~outside] != 0).all(), key


@pytest.mark.parametrize('depths', [[1], [1, 4]])
def test_a_sub_network_of_one_block_keeps_the_first(depths):
    net = build(depths=depths, widths=[8, 32])
    subnet = net.space.smallest
    assert subnet.depth == 1
    (out,) = net(images(), subnet)
    torch.testing.assert_close(
        out, stock_by_hand(net, subnet, **STOCK)(images())[0], rtol=0, atol=1e-10
    )


def test_values_survive_training_mode_and_checkpointing():
    net = build({'drop_path_rate': 0.0}, dtype=torch.float32)
    x = images(dtype=torch.float32)
    plain = net(x, 'w24-d3')[0]
    plain.square().sum().backward()
    expected = {name: p.grad for name, p in net.named_parameters() if p.grad is not None}
    net.zero_grad()
    net.train()
    again = checkpoint(lambda crops: net(crops, 'w24-d3')[0], x, use_reentrant=False)
    assert torch.equal(again, plain)
    again.square().sum().backward()
    for name, gradient in expected.items():
        assert torch.equal(net.get_parameter(name).grad, gradient)


def test_drop_path_acts_on_sub_networks_in_training_only():
    net = build({'drop_path_rate': 0.9})
    x = images().repeat(8, 1, 1, 1)
    assert torch.equal(net(x, 'w24-d3')[0], net(x, 'w24-d3')[0])
    net.train()
    torch.manual_seed(0)
    assert not torch.equal(net(x, 'w24-d3')[0], net(x, 'w24-d3')[0])


def test_frozen_parameters_get_no_gradient_and_extraction_thaws_them():
    net = build({'frozen_stages': 2})
    net(images(), 'w24-d4')[0].sum().backward()
    frozen = {name for name, p in net.named_parameters() if p.grad is None}
    assert 'pos_embed' in frozen
    assert {name.split('.')[1] for name in frozen if name.startswith('layers.')} == {'0', '1'}
    assert all(p.requires_grad for p in net.extract('w24-d4').parameters())


def test_copies_are_independent_and_equal():
    net = build()
    for twin in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert torch.equal(twin(images(), 'w24-d3')[0], net(images(), 'w24-d3')[0])
        randomise(twin, seed=1)
        assert not torch.equal(twin(images(), 'w24-d3')[0], net(images(), 'w24-d3')[0])


def test_initialisation_is_that_of_the_stock_class():
    arguments = {**STOCK, 'init_cfg': {'type': 'TruncNormal', 'layer': 'Conv2d', 'std': 0.02}}
    nets = []
    for cls in (ElasticVisionTransformer, VisionTransformer):
        torch.manual_seed(0)
        net = cls(ELASTIC['arch'], **arguments)
        net.init_weights()
        nets.append(net.state_dict())
    ours, theirs = nets
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_initialisation_of_linear_layers_reaches_qkv():
    init_cfg = {'type': 'Constant', 'layer': 'Linear', 'val': 0.125}
    net = ElasticVisionTransformer(**ELASTIC, **STOCK, init_cfg=init_cfg)
    net.init_weights()
    assert (net.layers[0].attn.proj.weight == 0.125).all()
    assert (net.layers[0].attn.qkv.weight == 0.125).all()


def test_settings_of_single_blocks_follow_their_blocks():
    activations = [{'act_cfg': {'type': kind}} for kind in ('GELU', 'ReLU', 'GELU', 'ReLU')]
    net = build({'layer_cfgs': activations})
    subnet = net.space['w32-d3']  # blocks 0, 1 and 3
    torch.testing.assert_close(net(images(), subnet)[0], net.extract(subnet)(images())[0])


@pytest.mark.parametrize(
    'arguments',
    [
        {'arch': {**ELASTIC['arch'], 'feedforward_channels': 67}},
        {'layer_cfgs': {'ffn_type': 'swiglu_fused'}},
        {'norm_cfg': {'type': 'BN1d'}},
    ],
    ids=['feed-forward width', 'SwiGLU', 'norm'],
)
def test_what_cannot_be_sliced_is_refused_at_once(arguments):
    with pytest.raises(ValueError, match=r'feedforward|ffn_type|norm_cfg'):
        build(arguments)


def test_tokens_need_a_class_token():
    net = build({'with_cls_token': False, 'out_type': 'raw'})
    with pytest.raises(ValueError, match='class token'):
        net.tokens(images())


def test_eval_returns_the_network():
    net = build()
    assert net.eval() is net


@pytest.mark.parametrize('axis', ['widths', 'depths'])
def test_empty_axes(axis):
    with pytest.raises(ValueError, match=f'{axis} is empty'):
        build(**{axis: []})


def test_extraction_leaves_the_overrides_alone():
    net = build()
    out_indices = [0, -1]
    shallow = net.extract('w16-d2', out_indices=out_indices)
    assert out_indices == [0, -1]
    deep = net.extract('w16-d4', out_indices=out_indices)
    assert (shallow.out_indices, deep.out_indices) == ([0, 1], [0, 3])
