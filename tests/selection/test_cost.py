"""Costs against published figures, formulas and PyTorch's own counters."""

import pytest
import timm
import torch
import torch.nn.functional as F
from helpers import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.analysis import get_model_complexity_info
from mmengine.config import Config
from tiny.families import SUPERNETS, build
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from poa_mm.checkpoints.build import build_on_meta
from poa_mm.registry import MODELS
from poa_mm.selection import cost, module_cost, params_and_flops, subnet_cost

# FLOPs in G as reported by DeiT (ViT-S, ViT-B), timm (ViT-L) and Swin's authors at 224 pixels.
PUBLISHED = {
    'poa_vit-l': {'vit-s': 4.6, 'vit-b': 17.6, 'vit-l': 61.6},
    'poa_swin-b': {'swin-t': 4.5, 'swin-s': 8.7, 'swin-b': 15.4},
}
TINY = {
    'type': 'VisionTransformer',
    'arch': {'embed_dims': 32, 'num_layers': 3, 'num_heads': 4, 'feedforward_channels': 128},
    'img_size': 32,
    'patch_size': 8,
}


@pytest.fixture(scope='module')
def supernets():
    """Full-size supernets without weights."""
    return {
        name: build_on_meta(Config.fromfile(ROOT / f'configs/pretrain/{name}.py').model.backbone)
        for name in PUBLISHED
    }


@pytest.mark.parametrize('family', PUBLISHED)
def test_flops_are_those_that_the_field_reports(supernets, family):
    for name, published in PUBLISHED[family].items():
        assert subnet_cost(supernets[family], name).flops / 1e9 == pytest.approx(
            published, abs=0.05
        )


@pytest.mark.parametrize('channels', [1, 4])
def test_images_of_any_number_of_channels(channels):
    """The patch embedding is all that grows with them: 16 patches of 8 × 8 pixels."""
    elastic = {**TINY, 'type': 'ElasticVisionTransformer'}
    costs = [
        subnet_cost(MODELS.build({**elastic, 'in_channels': number}), image_size=32)
        for number in (3, channels)
    ]
    assert costs[1].flops - costs[0].flops == (channels - 3) * 16 * 8 * 8 * 32
    assert costs[1].params - costs[0].params == (channels - 3) * 8 * 8 * 32
    assert module_cost(MODELS.build({**TINY, 'in_channels': channels}), 32) == costs[1]


OFFICIAL = {'swin': {'official': True, 'widths': [32]}}  # norms of all stages, own window shifts


@pytest.mark.parametrize(
    ('family', 'changes'), [*((family, {}) for family in SUPERNETS), *OFFICIAL.items()]
)
def test_all_sub_networks_cost_what_each_costs_alone(family, changes):
    supernet = build(family, **changes)
    costs = {subnet: both for subnet, *both in params_and_flops(supernet, supernet.space, 64)}
    assert set(costs) == set(supernet.space)
    for subnet, both in costs.items():
        alone = subnet_cost(supernet, subnet, 64)
        assert both == [alone.params, alone.flops]


@pytest.mark.parametrize('family', PUBLISHED)
def test_one_trace_serves_all_depths_of_a_width(supernets, monkeypatch, family):
    traced, trace = [], cost._trace
    monkeypatch.setattr(cost, '_trace', lambda *args: traced.append(1) or trace(*args))
    space = supernets[family].space
    assert sum(1 for _ in params_and_flops(supernets[family], space)) == len(space)
    assert len(traced) == len(space.widths)


@pytest.mark.parametrize(
    'name', ['vit_small_patch16_224', 'swin_tiny_patch4_window7_224', 'resnet50']
)
def test_flops_of_other_libraries_equal_pytorchs_count(name):
    image = torch.empty(1, 3, 224, 224, device='meta')
    net = timm.create_model(name).eval().to('meta')
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        net(image)
    cost = module_cost(net)
    assert 2 * cost.flops == counter.get_total_flops()
    assert cost.params == sum(parameter.numel() for parameter in net.parameters())


def test_flops_of_a_convolutional_network_equal_mmengines_count():
    net = MODELS.build({'type': 'ResNet', 'depth': 18})
    counted = get_model_complexity_info(net, (3, 64, 64), show_table=False, show_arch=False)
    # mmengine also counts normalisation, one per mille here.
    assert module_cost(net, 64).flops == pytest.approx(counted['flops'], rel=0.03)


def test_a_sub_network_costs_what_its_extracted_network_costs(supernets):
    backbone = supernets['poa_vit-l']
    subnet = backbone.space['vit-s']
    stock = MODELS.build(backbone.subnet_cfg(subnet))
    cost = subnet_cost(backbone, subnet, (96, 160))
    assert cost == module_cost(stock, (96, 160))
    assert cost.params == backbone.num_params(subnet)
    assert cost == subnet_cost(backbone, 'vit-s', (96, 160))
    assert subnet_cost(backbone).params == backbone.num_params(None)


@given(st.data())
@settings(max_examples=10, deadline=None)
def test_cost_grows_with_width_and_depth(supernets, data):
    backbone = supernets[data.draw(st.sampled_from(list(PUBLISHED)))]
    space = backbone.space
    widths = sorted(data.draw(st.lists(st.sampled_from(space.widths), min_size=2, max_size=2)))
    depths = sorted(data.draw(st.lists(st.sampled_from(space.depths), min_size=2, max_size=2)))
    small, large = (
        subnet_cost(backbone, f'w{width}-d{depth}', 96)
        for width, depth in zip(widths, depths, strict=True)
    )
    assert small.params <= large.params
    assert small.flops <= large.flops
    assert small.activation_bytes <= large.activation_bytes
    assert small.training_bytes <= large.training_bytes


def test_activations_of_two_layers_by_hand():
    net = nn.Sequential(nn.Conv2d(3, 8, 4, stride=4), nn.GELU(), nn.Conv2d(8, 5, 1))
    cost = module_cost(net, 16)
    image, hidden, out = 3 * 16 * 16, 8 * 4 * 4, 5 * 4 * 4
    assert cost.params == 8 * (3 * 16 + 1) + 5 * 9
    assert cost.flops == hidden * 3 * 16 + out * 8
    assert cost.activation_bytes == 4 * (image + 2 * hidden)
    # Both convolutions keep their input, GELU too; the output is there anyway.
    assert cost.training_bytes == 4 * (image + 2 * hidden + out)


def test_training_keeps_what_autograd_saves():
    """Storages seen by saved-tensor hooks on real tensors."""
    net = MODELS.build({**TINY, 'layer_scale_init_value': 0.0})
    net.eval()
    weights = {parameter.untyped_storage().data_ptr() for parameter in net.parameters()}
    saved = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            saved[storage.data_ptr()] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        net(torch.randn(1, 3, 32, 32))
    kept = sum(storage.nbytes() for storage in saved.values())
    output_bytes = 4 * 17 * 32  # all tokens: the class token is a view of them
    # GPUs' fused attention pads the log-sum-exp of each head and keeps the state of its dropout.
    gpu = 3 * (4 * 4 * (32 - 17) + 2 * 8)
    assert module_cost(net, 32).training_bytes == kept + output_bytes + gpu


def test_attention_keeps_no_matrix():
    """Four times the tokens take four times the memory, not sixteen."""
    small, large = (
        module_cost(MODELS.build({**TINY, 'img_size': size}), size) for size in (64, 128)
    )
    assert large.activation_bytes < 4 * small.activation_bytes
    assert large.training_bytes < 4 * small.training_bytes


def test_a_masked_attention_is_traced():
    class Attention(nn.Module):
        def forward(self, x):
            mask = torch.zeros(4, 4, dtype=torch.bool, device=x.device)
            return F.scaled_dot_product_attention(x, x, x, attn_mask=mask)

    assert module_cost(Attention(), 4).flops == 2 * 3 * 4 * 4 * 4


def test_the_network_is_left_alone():
    net = MODELS.build(TINY)
    net.train()
    net.layers[0].eval()
    net.patch_embed.requires_grad_(False)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    random = torch.random.get_rng_state()
    module_cost(net, 32)
    build_on_meta(TINY)
    assert torch.equal(torch.random.get_rng_state(), random)
    assert net.training
    assert not net.layers[0].training
    assert not any(parameter.requires_grad for parameter in net.patch_embed.parameters())
    after = net.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())


def test_nothing_is_allocated(supernets):
    for backbone in supernets.values():
        assert {parameter.device.type for parameter in backbone.parameters()} == {'meta'}
        assert {buffer.device.type for buffer in backbone.buffers()} <= {'meta'}


def test_images_that_do_not_fit_are_refused(supernets):
    net = nn.Conv2d(3, 4, 8)
    with pytest.raises(ValueError, match='image_size must be positive, got 0'):
        module_cost(net, 0)
    with pytest.raises(ValueError, match='Conv2d cannot run on images of 4 x 16 pixels: '):
        module_cost(net, (4, 16))
    with pytest.raises(ValueError, match="no sub-network 'vit-x'; valid: vit-s"):
        subnet_cost(supernets['poa_vit-l'], 'vit-x')
