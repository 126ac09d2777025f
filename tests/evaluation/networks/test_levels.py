"""Features beside the last one: those of the extracted network, and timm's."""

import pytest
import timm
import torch
from test_shared_prefixes import count_calls
from tiny.families import TINY, build, images

from poa_mm.evaluation import SharedPrefixes
from poa_mm.evaluation.networks.levels import timm_features, watch_levels
from poa_mm.models.backbones.levels import evenly_spaced, stage_ends

# Outputs of the stock network that hold the levels of a sub-network.
ALL_STAGES = {'out_indices': (0, 1, 2, 3)}


def stock_levels(family, backbone, subnet, batch):
    """Levels of an extracted network run alone, by mmpretrain's own outputs."""
    if family == 'vit':
        taken = evenly_spaced(subnet.num_blocks)
        stock = backbone.extract(subnet, out_indices=taken, out_type='raw')
        outs = stock(batch)
        return [*(stock.ln1(out)[:, 0] for out in outs[:-1]), outs[-1][:, 0]]
    return [out.mean(dim=(2, 3)) for out in backbone.extract(subnet, **ALL_STAGES)(batch)]


@pytest.mark.parametrize('family', TINY)
@torch.inference_mode()
def test_levels_equal_those_of_the_extracted_network(family):
    changes = {
        'widths': [16, 24],
        'depths': range(1, 9),
        'arch': {**TINY['vit']['arch'], 'num_layers': 8},
    }
    changes = changes if family == 'vit' else {}
    backbone = build(family, torch.float64, **{**TINY[family], **changes})
    batch = images(family, batch=3, dtype=torch.float64)
    plan = SharedPrefixes(backbone, backbone.subnets)
    for _ in range(2):  # the second time without the check
        calls = count_calls(backbone)
        got = {subnet: levels for subnet, *_, levels in plan.tokens_and_levels(batch)}
    assert len(calls) == plan.num_blocks  # no block runs twice
    assert set(got) == set(backbone.subnets)
    for subnet, levels in got.items():
        expected = stock_levels(family, backbone, subnet, batch)
        assert len(levels) == len(expected) == min(4, subnet.num_blocks)
        for level, other in zip(levels, expected, strict=True):
            torch.testing.assert_close(level, other, rtol=1e-9, atol=1e-9)


@torch.inference_mode()
def test_levels_of_separate_passes_are_the_same():
    backbone = build('swin')
    batch = images('swin')
    plan = SharedPrefixes(backbone, backbone.subnets)
    shared = [levels for *_, levels in plan.tokens_and_levels(batch)]
    plan._shared = False  # as for compiled blocks
    for one, (*_, levels) in zip(shared, plan.tokens_and_levels(batch), strict=True):
        assert all(map(torch.equal, one, levels))
    assert not any(block._forward_hooks for block in backbone.blocks)


def test_blocks_are_those_of_the_authors():
    assert evenly_spaced(12) == (3, 6, 9, 11)
    assert evenly_spaced(24) == (6, 12, 18, 23)
    for depth in range(1, 25):
        blocks = evenly_spaced(depth)
        assert len(set(blocks)) == min(depth, 4)
        assert blocks[-1] == depth - 1
        assert sorted(blocks) == list(blocks)
    assert stage_ends([2, 2, 18, 2]) == (1, 3, 21, 23)


@pytest.mark.parametrize('family', TINY)
@torch.inference_mode()
def test_an_extracted_network_has_the_levels_of_its_sub_network(family):
    backbone = build(family, torch.float64, **TINY[family])
    subnet, batch = backbone.subnets[-2], images(family, batch=2, dtype=torch.float64)
    ((*_, expected),) = SharedPrefixes(backbone, [subnet]).tokens_and_levels(batch)
    stock = backbone.extract(subnet)
    take = watch_levels(stock)
    for _ in range(2):
        stock(batch)
        for level, other in zip(take(expected[-1]), expected, strict=True):
            torch.testing.assert_close(level, other, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ('name', 'options', 'widths'),
    [
        ('vit_tiny_patch16_224', {'img_size': 32, 'depth': 6}, [192] * 4),
        ('vit_tiny_patch16_224', {'img_size': 32, 'depth': 6, 'global_pool': 'avg'}, [192] * 4),
        ('resnet10t', {}, [64, 128, 256, 512]),
        ('convnext_atto', {}, [40, 80, 160, 320]),
    ],
)
@torch.inference_mode()
def test_levels_of_timm_are_its_intermediates(name, options, widths):
    torch.manual_seed(0)
    net = timm.create_model(name, num_classes=0, **options).eval()
    batch = torch.randn(2, 3, 32, 32)
    out, take = timm_features(net)(batch)
    torch.testing.assert_close(out, net.forward_features(batch))
    last = net.forward_head(out, pre_logits=True)
    levels = take(last)
    assert [level.shape[1] for level in levels] == widths
    assert levels[-1] is last
    if 'vit' in name:
        blocks = net.norm_pre(net._pos_embed(net.patch_embed(batch)))
        for block in net.blocks[:5]:
            blocks = block(blocks)
        blocks = net.norm(blocks)
        expected = blocks[:, 1:].mean(1) if 'global_pool' in options else blocks[:, 0]
        torch.testing.assert_close(levels[2], expected)
    else:
        outs = net.forward_intermediates(batch, indices=4, intermediates_only=True)
        torch.testing.assert_close(levels[0], outs[-4].mean(dim=(2, 3)))
