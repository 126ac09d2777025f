"""The elastic ResNet against mmpretrain's and timm's, and its slices by hand."""

import copy
import functools

import pytest
import timm
import torch
import torch.nn.functional as F
from mmpretrain.models.backbones import ResNet
from tiny.networks import randomise

from poa_mm.elastic import SearchSpace, Subnet, active_blocks
from poa_mm.models.backbones import BottleneckResNet
from poa_mm.registry import MODELS

ARCH = {'stage_blocks': (1, 3, 4, 1), 'mid_channels': 16, 'out_channels': 32}
TINY = {
    'type': 'ElasticResNet',
    'arch': ARCH,
    'stem_channels': 8,
    'widths': [8, 12, 16],
    'depths': [(1, d2, d3, 1) for d2 in (1, 2, 3) for d3 in (2, 3, 4)],
    'norm_cfg': {'type': 'GN', 'num_groups': 4},
}
PAPER = {
    'type': 'ElasticResNet',
    'widths': [64, 96, 128],
    'depths': [(3, d2, d3, 3) for d2 in range(4, 9) for d3 in range(6, 37)],
}
GN32 = {'type': 'GN', 'num_groups': 32}


@pytest.fixture
def meta(monkeypatch):
    """Networks without memory. mmpretrain asks for the values of a linspace, which needs some."""
    monkeypatch.setattr(torch, 'linspace', functools.partial(torch.linspace, device='cpu'))
    with torch.device('meta'):
        yield


def build(**overrides):
    torch.manual_seed(0)
    cfg = copy.deepcopy({**TINY, **overrides})
    return randomise(MODELS.build(cfg)).double().eval()


def images(size=64, batch=2):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(batch, 3, size, size, generator=generator).double()


def test_what_mmpretrain_can_express_becomes_its_own_class():
    arch = {'stage_blocks': (3, 8, 36, 3), 'mid_channels': 8, 'out_channels': 16}
    depths = [(3, 4, 6, 3), (3, 4, 7, 3), (3, 4, 23, 3), (3, 8, 36, 3)]
    net = build(arch=arch, widths=[4, 8], depths=depths)
    for name in ('w4-d3-4-6-3', 'w8-d3-4-23-3', 'w8-d3-8-36-3'):
        stock = net.extract(name)
        assert type(stock) is ResNet
        torch.testing.assert_close(net(images(), name)[0], stock(images())[0], rtol=0, atol=1e-10)
    assert type(net.extract('w4-d3-4-7-3')) is BottleneckResNet


def test_slices_by_hand():
    """Eq. 12: outputs of conv1, inputs and outputs of conv2, inputs of conv3; Eq. 4 in a stage."""
    net = build()
    state, cut = net.state_dict(), net.subnet_state_dict(Subnet(12, (1, 2, 3, 1)))
    kept = ([0], [0, 2], [3 * j // 2 for j in range(3)], [0])
    assert kept[2] == list(active_blocks(3, 4)) == [0, 1, 3]
    for stage, blocks in enumerate(kept):
        mid = 12 * 2**stage
        for position, block in enumerate(blocks):
            full = {
                key.removeprefix(prefix): value
                for prefix in [f'layer{stage + 1}.{block}.']
                for key, value in state.items()
                if key.startswith(prefix)
            }
            expected = {
                **full,
                'conv1.weight': full['conv1.weight'][:mid],
                'gn1.weight': full['gn1.weight'][:mid],
                'gn1.bias': full['gn1.bias'][:mid],
                'conv2.weight': full['conv2.weight'][:mid, :mid] * (16 / 12),
                'gn2.weight': full['gn2.weight'][:mid],
                'gn2.bias': full['gn2.bias'][:mid],
                'conv3.weight': full['conv3.weight'][:, :mid] * (16 / 12),
            }
            for key, value in expected.items():
                mine = cut[f'layer{stage + 1}.{position}.{key}']
                torch.testing.assert_close(mine, value, rtol=0, atol=1e-12)
    assert torch.equal(cut['conv1.weight'], state['conv1.weight'])
    assert torch.equal(cut['gn1.bias'], state['gn1.bias'])


def test_a_bottleneck_by_hand():
    """Group norm over the kept channels, in as many groups as the intact block has."""
    net = build()
    block = net.layer2[1]
    x = images(8)[:, :1].expand(-1, 64, -1, -1) * torch.linspace(-1, 1, 64)[:, None, None].double()
    out = F.conv2d(x, block.conv1.weight[:24])
    grouped = out.reshape(2, 4, -1)
    variance, mean = torch.var_mean(grouped, dim=2, keepdim=True, unbiased=False)
    out = ((grouped - mean) / (variance + 1e-5).sqrt()).view_as(out)
    out = F.relu(out * block.gn1.weight[:24, None, None] + block.gn1.bias[:24, None, None])
    out = F.conv2d(out, block.conv2.weight[:24, :24] * (32 / 24), padding=1)
    out = F.relu(F.group_norm(out, 4, block.gn2.weight[:24], block.gn2.bias[:24]))
    out = F.conv2d(out, block.conv3.weight[:, :24] * (32 / 24))
    out = F.relu(x + F.group_norm(out, 4, block.gn3.weight, block.gn3.bias))
    torch.testing.assert_close(block(x, 24), out, rtol=0, atol=1e-10)


def test_masks_show_the_token_and_hide_the_image():
    net = build(with_mask_token=True)
    assert net.mask_grid(64, 64) == (4, 4)
    assert net.mask_grid(100, 224) == (7, 14)
    masks = torch.ones(2, 16, dtype=torch.bool)  # all: the stem's norm sees what masks hide
    hidden = net.tokens(images(), 'smallest', masks)[0]
    assert torch.equal(net.tokens(-images(), 'smallest', masks)[0], hidden)
    assert not torch.equal(
        net.tokens(-images(), 'smallest')[0], net.tokens(images(), 'smallest')[0]
    )
    with torch.no_grad():
        net.mask_token.add_(1)
    assert not torch.equal(net.tokens(images(), 'smallest', masks)[0], hidden)


def test_the_mask_token_replaces_the_output_of_the_stem():
    net = build(with_mask_token=True)
    seen = []
    net.layer1[0].register_forward_pre_hook(lambda _, arguments: seen.append(arguments[0]))
    assert net.mask_grid(100, 100) == (7, 7)
    masks = torch.zeros(2, 49, dtype=torch.bool)
    masks[1, 8] = True  # row 1, column 1
    net.tokens(images(100), None, masks)
    net.tokens(images(100))
    masked, plain = seen
    assert torch.equal(masked[0], plain[0])
    place = torch.zeros(25, 25, dtype=torch.bool)
    place[4:8, 4:8] = True
    assert torch.equal(masked[1][:, ~place], plain[1][:, ~place])
    assert torch.equal(masked[1][:, place], net.mask_token[0, :, 0].expand(-1, 16))


def test_tokens_are_the_mean_and_the_map_twice_as_fine():
    net = build()
    (feature_map,) = net(images(), 'w12-d1-2-3-1')
    class_tokens, patches = net.tokens(images(), 'w12-d1-2-3-1')
    torch.testing.assert_close(class_tokens, feature_map.mean(dim=(2, 3)))
    fine = feature_map.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    assert torch.equal(patches, fine.flatten(2).transpose(1, 2))


def test_gradients_stay_within_the_slice():
    net = build()
    net(images(), 'w8-d1-1-2-1')[0].square().sum().backward()
    weight = net.layer1[0].conv2.weight.grad
    assert weight[:8, :8].abs().min() > 0
    assert not weight[8:].any()
    assert not weight[:, 8:].any()
    assert net.layer3[1].gn1.weight.grad is None  # 2 of 4 blocks: the outer ones


@pytest.mark.usefixtures('meta')
def test_the_paper_s_supernet_holds_resnet_50_101_and_152():
    """465 sub-networks; the counts of timm's and mmpretrain's ResNets with GN in place of BN."""
    net = MODELS.build(copy.deepcopy(PAPER))
    assert len(net.space) == len(set(net.space)) == 465
    for depth, name in ((50, 'resnet50'), (101, 'resnet101'), (152, 'resnet152')):
        subnet = f'resnet-{depth}'
        cfg = net.subnet_cfg(subnet)
        assert (cfg['type'], cfg['depth']) == ('mmpretrain.ResNet', depth)
        theirs = timm.create_model(name, num_classes=0)
        stock = ResNet(depth, norm_cfg=GN32)
        count = sum(p.numel() for p in theirs.parameters())
        assert net.num_params(subnet) == count == sum(p.numel() for p in stock.parameters())
    assert net.space.intact == Subnet(128, (3, 8, 36, 3)) == net.space.largest
    assert str(net.space.smallest) == 'w64-d3-4-6-3'


@pytest.mark.usefixtures('meta')
def test_counts_of_the_paper_s_sub_networks():
    net = MODELS.build(copy.deepcopy(PAPER))
    for subnet in net.subnets[::31]:
        extracted = MODELS.build(net.subnet_cfg(subnet))
        assert sum(p.numel() for p in extracted.parameters()) == net.num_params(subnet)


@pytest.mark.usefixtures('meta')
def test_sampling_weights_of_the_authors_code():
    """Depths rank by their sum; the authors weight them alone, from γ down to 1 in even steps."""
    official = MODELS.build({**copy.deepcopy(PAPER), 'weighted': ['depth']})
    paper = MODELS.build(copy.deepcopy(PAPER))
    ranked = sorted(PAPER['depths'], key=sum)
    for rank, depth in enumerate(ranked):
        expected = 1 + (154 - rank) / 154  # γ = 2, N = 155
        for index, width in enumerate(PAPER['widths']):
            assert official.space.weight(Subnet(width, depth)) == pytest.approx(expected)
            product = expected * (1 + (2 - index) / 2)
            assert paper.space.weight(Subnet(width, depth)) == pytest.approx(product)


@pytest.mark.parametrize(
    ('overrides', 'message'),
    [
        ({'widths': [10, 16]}, r'multiples of the 4 groups of the norm up to 16, got \[10\]'),
        ({'widths': [20]}, r'got \[20\]'),
        ({'depths': [(1, 3, 5, 1)]}, r'at most the blocks \(1, 3, 4, 1\), got \[\(1, 3, 5, 1\)\]'),
        ({'depths': [(1, 3)]}, r'got \[\(1, 3\)\]'),
        ({'depths': [9]}, r'depths must be of the kind of \(1, 3, 4, 1\), got \[9\]'),
        ({'norm_cfg': {'type': 'BN'}}, "norm_cfg must be of type 'GN', got 'BN'"),
        ({'deep_stem': True}, 'deep_stem cannot be set'),
        ({'out_indices': (4,)}, r'out_indices must be stages within 0…3, got \(4,\)'),
        ({'arch': {'depth': 50}}, r"arch takes \('stage_blocks',.*got \['depth'\]"),
        ({'arch': {'stage_blocks': (1, 0, 1, 1)}}, r'four positive numbers, got \[1, 0, 1, 1\]'),
        ({'weighted': ['height']}, r"weighted must be among .* got \('height',\)"),
    ],
)
def test_what_cannot_be_elastic(overrides, message):
    with pytest.raises(ValueError, match=message):
        build(**overrides)


def test_unknown_names_do_not_list_all_combinations():
    with pytest.raises(ValueError, match=r'<blocks of each stage, joined by ->: 1…1, 1…3, 2…4'):
        build().extract('w8-d1-1-9-1')


def test_the_config_builds_the_same_supernet():
    net = build(with_mask_token=True, weighted=['depth'])
    twin = MODELS.build(net.config)
    assert set(twin.state_dict()) == set(net.state_dict())
    assert list(twin.space) == list(net.space)
    assert twin.space.probabilities() == net.space.probabilities()


def test_layer_depths():
    """In pre-training each block is one; an extracted network follows mmpretrain's grouping."""
    net = build(with_mask_token=True)
    names = ['mask_token', 'conv1.weight', 'layer1.0.gn1.bias', 'layer2.2.conv1.weight']
    names += ['layer3.0.conv2.weight', 'layer4.0.downsample.1.weight']
    depths = [net.get_layer_depth(f'backbone.{name}', 'backbone.') for name in names]
    assert depths == [(0, 10), (0, 10), (1, 10), (4, 10), (5, 10), (9, 10)]
    assert net.get_layer_depth('head.fc.weight', 'backbone.') == (9, 10)


@pytest.mark.usefixtures('meta')
@pytest.mark.parametrize('depth', [50, 101, 152])
def test_grouping_of_the_stock_depths_is_mmpretrain_s(depth):
    stock = ResNet(depth)
    mine = BottleneckResNet(stage_blocks=stock.stage_blocks)
    assert dict(mine.named_parameters()).keys() == dict(stock.named_parameters()).keys()
    for name in ['head.fc.weight', *(f'backbone.{name}' for name, _ in stock.named_parameters())]:
        expected = stock.get_layer_depth(name, 'backbone.')
        assert mine.get_layer_depth(name, 'backbone.') == expected


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ({'depth': 50}, 'depth cannot be set'),
        ({'stage_blocks': (1, 1, 1, 1, 1)}, r'one to four positive numbers, got \[1, 1, 1, 1, 1\]'),
        ({'out_channels': 30}, 'multiple of 4, got 30'),
        ({'mid_channels': 0}, 'must be positive, got 0'),
    ],
)
def test_wrong_arguments_of_a_bottleneck_resnet(arguments, message):
    with pytest.raises(ValueError, match=message):
        BottleneckResNet(**arguments)


def test_recomputation_changes_no_gradient():
    gradients = []
    for with_cp in (False, True):
        net = build(with_cp=with_cp).train()
        net(images(), 'w12-d1-2-3-1')[0].square().sum().backward()
        gradients.append([p.grad for p in net.parameters() if p.grad is not None])
    for plain, recomputed in zip(*gradients, strict=True):
        torch.testing.assert_close(recomputed, plain, rtol=0, atol=1e-10)


def test_initialisation_is_mmpretrain_s():
    torch.manual_seed(0)
    net = MODELS.build(copy.deepcopy(TINY))
    net.init_weights()
    assert not net.layer3[1].gn3.weight.any()  # residual branches start closed
    assert (net.layer3[1].gn1.weight == 1).all()
    spread = (
        net.layer4[0].conv2.weight.std() * (net.layer4[0].conv2.weight[:, 0].numel() / 2) ** 0.5
    )
    assert 0.9 < spread < 1.1  # Kaiming, fan out


def test_a_space_of_depth_pairs():
    space = SearchSpace([8], [(2, 1), (1, 1), [1, 3]])
    assert space.depths == ((1, 1), (2, 1), (1, 3))
    assert space['w8-d2-1'] == Subnet(8, [2, 1])
    with pytest.raises(ValueError, match='same number of stages'):
        SearchSpace([8], [(1, 2), 3])
    with pytest.raises(ValueError, match=r'positive integers, got \(1, 0\)'):
        SearchSpace([8], [(1, 0)])
