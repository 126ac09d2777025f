"""The elastic Swin Transformer as the authors' code defines it: what runs, what is extracted."""

import copy
import functools

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from mmpretrain.models.backbones import SwinTransformer
from tiny.networks import randomise

import poa_mm
from poa_mm.checkpoints import save_backbone
from poa_mm.elastic import Subnet
from poa_mm.registry import MODELS

ARCH = {'embed_dims': 32, 'depths': [1, 2, 5, 1], 'num_heads': [4, 8, 16, 32]}
TINY = {
    'type': 'ElasticSwinTransformer',
    'arch': ARCH,
    'widths': [16, 24, 32],
    'depths': [5, 6, 7, 8, 9],
    'img_size': 64,
    'window_size': 4,
    'pad_small_map': True,
    'official': True,
}
SUBNETS = [Subnet(width, depth) for width in TINY['widths'] for depth in TINY['depths']]
# The paper's stages with few channels.
PAPER = {
    'arch': {'embed_dims': 16, 'depths': [2, 2, 18, 2], 'num_heads': [4, 8, 16, 32]},
    'widths': [8, 12, 16],
    'depths': list(range(12, 25)),
}
REASON = (
    r'cannot be extracted.*over all 32 channels, then keeps (16|24), and a stock SwinTransformer '
    r'.*; only sub-networks of width 32 can be extracted$'
)


def build(**overrides):
    torch.manual_seed(0)
    cfg = copy.deepcopy({**TINY, **overrides})
    return randomise(MODELS.build(cfg)).double().eval()


built_once = functools.cache(build)  # for all examples of a property, which change nothing


def images(size=64):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(2, 3, size, size, generator=generator).double()


def inputs_of_blocks(net, subnet, **kwargs):
    """Arguments of all blocks that run, in order."""
    seen = []
    hooks = [
        block.register_forward_pre_hook(lambda _, arguments: seen.append(arguments))
        for block in net.blocks
    ]
    net.tokens(images(), subnet, **kwargs)
    for hook in hooks:
        hook.remove()
    return seen


@settings(deadline=None, max_examples=30)
@given(
    st.sampled_from(SUBNETS),
    st.sampled_from([32, 64, 80, 100]),
    st.sampled_from([(3,), (0, 1, 2, 3)]),
)
def test_all_run_and_those_of_the_intact_width_are_extracted(subnet, size, stages):
    net = built_once(out_indices=stages)
    outputs = net(images(size), subnet)
    assert [out.shape[1] for out in outputs] == [subnet.width * 2**stage for stage in stages]
    if subnet.width < 32:
        for refuse in (net.extract, net.subnet_cfg, net.subnet_state_dict):
            with pytest.raises(ValueError, match=REASON) as error:
                refuse(subnet)
            assert str(error.value).startswith(f'{subnet} cannot')
        return
    stock = net.extract(subnet)
    assert type(stock) is SwinTransformer
    for mine, theirs in zip(outputs, stock(images(size)), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-10)


@settings(deadline=None, max_examples=15)
@given(st.sampled_from([subnet for subnet in SUBNETS if subnet.width == 32]))
def test_tokens_of_extracted_networks(subnet):
    net = built_once()
    class_tokens, patches = net.tokens(images(), subnet)
    (feature_map,) = net.extract(subnet)(images())
    torch.testing.assert_close(class_tokens, feature_map.mean(dim=(2, 3)), rtol=0, atol=1e-10)
    fine = F.interpolate(feature_map, scale_factor=2, mode='nearest').flatten(2).transpose(1, 2)
    torch.testing.assert_close(patches, fine, rtol=0, atol=1e-10)


def test_blocks_keep_their_shifts():
    net = build(**PAPER)
    shifts = [int(arguments[2]) for arguments in inputs_of_blocks(net, 'w12-d12')]
    assert shifts == [0, 1, 0, 1, *(0, 1, 0, 0, 1, 1), 0, 1]  # blocks 0, 3, 6, 10, 13, 17
    alternating = build(**PAPER, official=False)
    shifts = [int(arguments[2]) for arguments in inputs_of_blocks(alternating, 'w12-d12')]
    assert shifts == [0, 1] * 6


@pytest.mark.parametrize('width', [16, 24, 32])
def test_the_patch_embedding_is_normalised_then_sliced_then_masked(width):
    net = build(with_mask_token=True)
    masks = torch.zeros(2, 16, dtype=torch.bool)
    masks[1, 5] = True  # row 1, column 1 of 4 × 4: rows and columns 4…7 of the map of 16 × 16
    first = inputs_of_blocks(net, f'w{width}-d6', masks=masks)[0][0]
    embedding, norm = net.patch_embed.projection, net.patch_embed.norm
    projected = F.conv2d(images(), embedding.weight, embedding.bias, stride=4)
    normal = F.layer_norm(projected.permute(0, 2, 3, 1), (32,), norm.weight, norm.bias)
    normal[1, 4:8, 4:8] = net.mask_token[0, 0]
    torch.testing.assert_close(first, normal.flatten(1, 2)[..., :width], rtol=0, atol=1e-12)


def test_the_intact_network_is_the_same_by_both_definitions():
    torch.testing.assert_close(build()(images())[0], build(official=False)(images())[0])
    for subnet in ('w24-d9', 'w32-d7'):
        official, ours = (build(official=which)(images(), subnet)[0] for which in (True, False))
        assert (official - ours).abs().max() > 1e-3


def test_13_of_the_paper_s_39_sub_networks_are_extracted():
    net = build(**PAPER)
    extracted = []
    for subnet in net.subnets:
        try:
            extracted.append((subnet, net.subnet_cfg(subnet)))
        except ValueError:
            assert subnet.width < 16
    assert [subnet for subnet, _ in extracted] == [Subnet(16, depth) for depth in range(12, 25)]
    plain = [subnet for subnet, cfg in extracted if 'stage_cfgs' not in cfg]
    assert plain == [Subnet(16, 24)]  # shifts of all others do not alternate
    stages = extracted[0][1]['stage_cfgs']
    assert [bool(stage) for stage in stages] == [False, False, True, False]
    shifts = [block['shift'] for block in stages[2]['block_cfgs']]
    assert shifts == [False, True, False, False, True, True]


def test_files_of_extracted_networks(tmp_path):
    net = build().float()
    save_backbone(net, 'w32-d6', tmp_path / 'net.pth')
    stock = poa_mm.load_backbone(tmp_path / 'net.pth')
    crops = images().float()
    torch.testing.assert_close(stock(crops)[0], net(crops, 'w32-d6')[0])
    with pytest.raises(ValueError, match=REASON):
        save_backbone(net, 'w24-d6', tmp_path / 'refused.pth')
    assert [file.name for file in tmp_path.iterdir()] == ['net.pth']


def test_the_config_builds_the_same_supernet():
    net = build()
    twin = randomise(MODELS.build(net.config)).double().eval()
    twin.load_state_dict(net.state_dict())
    assert torch.equal(twin(images(), 'w16-d7')[0], net(images(), 'w16-d7')[0])
    assert MODELS.build({**TINY, 'official': False}).config['official'] is False
