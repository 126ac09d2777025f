"""The elastic ViT: every sub-network equals its extracted stock network."""

import pytest
import timm
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmcv.cnn.bricks import DropPath
from mmpretrain.models.backbones import VisionTransformer
from mmpretrain.registry import MODELS as MMPRETRAIN_MODELS
from tiny.networks import TINY_BACKBONE, randomise
from torch import nn

import poa_mm  # noqa: F401
from poa_mm.elastic import Subnet, active_blocks
from poa_mm.models.backbones import ElasticVisionTransformer
from poa_mm.registry import ELASTIC_BACKBONES

ARGUMENTS = {key: value for key, value in TINY_BACKBONE.items() if key != 'type'}


def build(**overrides):
    net = ElasticVisionTransformer(**{**ARGUMENTS, **overrides})
    net.eval()
    return randomise(net)


@st.composite
def supernets_and_subnets(draw):
    head_dim = draw(st.sampled_from([4, 8]))
    heads = draw(st.integers(1, 4))
    layers = draw(st.integers(1, 5))
    out_type = draw(st.sampled_from(['cls_token', 'raw', 'featmap', 'avg_featmap']))
    net = build(
        arch={
            'embed_dims': heads * head_dim,
            'num_layers': layers,
            'num_heads': heads,
            'feedforward_channels': heads * head_dim * draw(st.sampled_from([2, 4])),
        },
        widths=[head_dim * number for number in range(1, heads + 1)],
        depths=list(range(1, layers + 1)),
        layer_scale_init_value=draw(st.sampled_from([0.0, 0.5])),
        qkv_bias=draw(st.booleans()),
        out_type=out_type,
        with_cls_token=out_type == 'cls_token' or draw(st.booleans()),
        out_indices=draw(st.sampled_from([-1, [0, -1], [-1, 0]])),
        final_norm=draw(st.booleans()),
        pre_norm=draw(st.booleans()),
    ).double()
    subnet = Subnet(
        draw(st.sampled_from(net.space.widths)), draw(st.sampled_from(net.space.depths))
    )
    return net, subnet, draw(st.sampled_from([16, 24]))


@settings(max_examples=60, deadline=None)
@given(supernets_and_subnets())
def test_extracted_network_equals_the_sub_network(case):
    net, subnet, image_size = case
    stock = net.extract(subnet)
    assert type(stock) is VisionTransformer
    x = torch.randn(2, 3, image_size, image_size, dtype=torch.float64)
    with torch.no_grad():
        for ours, theirs in zip(net(x, subnet), stock(x), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-10)
    assert net.num_params(subnet) == sum(p.numel() for p in stock.parameters())


@pytest.mark.parametrize('out_type', ['raw', 'cls_token', 'featmap', 'avg_featmap'])
def test_intact_network_equals_the_stock_class_bit_for_bit(out_type):
    net = build(out_type=out_type, out_indices=[1, -1])
    stock = VisionTransformer(
        **{key: value for key, value in net.subnet_cfg().items() if key != 'type'}
    )
    stock.load_state_dict(net.state_dict(), strict=True)
    net.load_state_dict(stock.state_dict(), strict=True)
    stock.eval()
    for size in ((16, 16), (24, 12)):
        x = torch.randn(2, 3, *size)
        for ours, theirs in zip(net(x), stock(x), strict=True):
            assert torch.equal(ours, theirs)


@pytest.mark.parametrize('name', ['w16-d2', 'w24-d3', 'w32-d3'])
def test_gradients_reach_the_slice_alone(name):
    net = build()
    subnet = net.space[name]
    net(torch.randn(3, 3, 16, 16), subnet)[0].square().sum().backward()
    blocks = active_blocks(subnet.depth, 4)
    for index, layer in enumerate(net.layers):
        for parameter in layer.parameters():
            if index not in blocks:
                assert parameter.grad is None
    width = subnet.width
    qkv = net.layers[0].attn.qkv.weight.grad.view(3, 32, 32)
    assert (qkv[:, :width, :width] != 0).any()
    assert (qkv[:, width:] == 0).all()
    assert (qkv[:, :, width:] == 0).all()
    fc1 = net.layers[0].ffn.layers[0][0].weight.grad
    assert (fc1[: 2 * width, :width] != 0).any()
    assert (fc1[2 * width :] == 0).all()
    assert (fc1[:, width:] == 0).all()
    for parameter in (net.pos_embed, net.cls_token, net.ln1.weight, net.layers[0].ln1.bias):
        assert (parameter.grad[..., :width] != 0).any()
        assert (parameter.grad[..., width:] == 0).all()
    assert (net.patch_embed.projection.weight.grad[width:] == 0).all()


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_autocast_keeps_extraction_exact(dtype):
    net = build()
    x = torch.randn(2, 3, 16, 16)
    with torch.autocast('cpu', dtype):
        assert torch.equal(net(x, 'w24-d3')[0], net.extract('w24-d3')(x)[0])


def test_tokens_are_the_final_features():
    net = build(out_type='raw')
    x = torch.randn(2, 3, 16, 16)
    cls_token, patches = net.tokens(x, 'w24-d3')
    (raw,) = net(x, 'w24-d3')
    assert torch.equal(torch.cat([cls_token[:, None], patches], dim=1), raw)


def test_extraction_takes_overrides_and_shares_no_memory():
    net = build()
    stock = net.extract('w24-d3', out_indices=[0, 2], out_type='featmap', img_size=24)
    assert [tuple(out.shape) for out in stock(torch.randn(1, 3, 24, 24))] == [(1, 24, 6, 6)] * 2
    assert stock.pos_embed.shape == (1, 37, 24)
    storages = {parameter.untyped_storage().data_ptr() for parameter in net.parameters()}
    assert not any(p.untyped_storage().data_ptr() in storages for p in stock.parameters())


@pytest.mark.parametrize('img_size', [24, 8, (16, 24)])
def test_a_new_image_size_resizes_the_position_embedding(img_size):
    net = build().double()
    stock = net.extract('w24-d3', img_size=img_size)
    height, width = stock.img_size
    assert stock.pos_embed.shape == (1, 1 + height // 4 * (width // 4), 24)
    x = torch.randn(2, 3, height, width, dtype=torch.float64)
    torch.testing.assert_close(net(x, 'w24-d3')[0], stock(x)[0], rtol=0, atol=1e-12)


@pytest.mark.parametrize('img_size', [(24, 16), 24, (32, 32)])
def test_a_new_image_size_of_an_oblong_supernet(img_size):
    net = build(img_size=(16, 24)).double()
    stock = net.extract('w24-d3', img_size=img_size)
    x = torch.randn(2, 3, *stock.img_size, dtype=torch.float64)
    torch.testing.assert_close(net(x, 'w24-d3')[0], stock(x)[0], rtol=0, atol=1e-12)


def test_extraction_fails_where_the_stock_network_needs_more():
    with pytest.raises(RuntimeError, match=r'Missing key.*ln2'):
        build().extract('w24-d3', out_type='avg_featmap')


def test_regularisation_is_left_behind():
    stock = build(drop_rate=0.5, drop_path_rate=0.5).extract('w24-d3')
    assert not any(module.p for module in stock.modules() if isinstance(module, nn.Dropout))
    assert not any(module.drop_prob for module in stock.modules() if isinstance(module, DropPath))
    stock = build().extract('w24-d3', drop_path_rate=0.5)
    assert stock.layers[-1].attn.out_drop.drop_prob == 0.5


def test_empty_batches():
    net = build()
    x = torch.zeros(0, 3, 16, 16)
    assert net.extract('w24-d3')(x)[0].shape == (0, 24)
    assert net(x, 'w24-d3')[0].shape == (0, 24)


def test_config_and_registries():
    net = build(out_indices=[0, -1])
    twin = ELASTIC_BACKBONES.build(net.config)
    twin.load_state_dict(net.state_dict())
    twin.eval()
    x = torch.randn(1, 3, 16, 16)
    assert torch.equal(twin(x, 'smallest')[1], net(x, 'smallest')[1])
    assert MMPRETRAIN_MODELS.get('ElasticVisionTransformer') is ElasticVisionTransformer


def test_vit_l_holds_the_sizes_of_timm():
    with torch.device('meta'):
        net = ElasticVisionTransformer('large', widths=range(384, 1025, 64), depths=range(12, 25))
        for name in ('small', 'base', 'large'):
            reference = timm.create_model(f'vit_{name}_patch16_224', num_classes=0)
            count = sum(parameter.numel() for parameter in reference.parameters())
            assert net.num_params(f'vit-{name[0]}') == count
    assert len(net.space) == 143
    counts = [net.num_params(subnet) for subnet in net.space]
    assert counts == sorted(counts)


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ({'widths': [20, 32]}, r'multiples of the head dimension 8 up to 32, got \[20\]'),
        ({'widths': [40]}, r'got \[40\]'),
        ({'depths': [5]}, r'depths must be at most 4, got \[5\]'),
    ],
)
def test_sub_networks_that_do_not_fit(arguments, message):
    with pytest.raises(ValueError, match=message):
        build(**arguments)


@pytest.mark.parametrize('out_indices', [4, [0, -5]])
def test_blocks_that_even_the_intact_network_lacks(out_indices):
    with pytest.raises(ValueError, match='out_indices'):
        build(out_indices=out_indices)


@pytest.mark.parametrize('key', ['embed_dims', 'num_fcs', 'qkv_bias', 'drop_path_rate'])
@pytest.mark.parametrize('as_list', [False, True])
def test_layer_cfgs_must_not_change_what_extraction_cannot_follow(key, as_list):
    cfg = {key: 0}
    with pytest.raises(ValueError, match=f'layer_cfgs.*{key}'):
        build(layer_cfgs=[cfg, {}, {}, {}] if as_list else cfg)


def test_layers_that_override_their_stock_class_are_refused():
    with pytest.raises(ValueError, match='Conv2dAdaptivePadding'):
        build(patch_cfg={'conv_type': 'Conv2dAdaptivePadding'})


def test_blocks_that_a_sub_network_lacks():
    net = build(out_indices=[1, 3])
    with pytest.raises(ValueError, match=r'blocks \[3\] that sub-network w16-d2 does not have'):
        net(torch.randn(1, 3, 16, 16), 'w16-d2')
    assert len(net(torch.randn(1, 3, 16, 16), 'w16-d4')) == 2
