"""The elastic Swin Transformer against mmpretrain's and timm's, and its slices by hand."""

import copy

import pytest
import timm
import torch
from mmpretrain.models.backbones import SwinTransformer
from tiny.networks import randomise

from poa_mm.checkpoints import build_on_meta
from poa_mm.elastic import Subnet, active_blocks
from poa_mm.registry import MODELS

ARCH = {'embed_dims': 32, 'depths': [1, 2, 4, 1], 'num_heads': [4, 8, 16, 32]}
TINY = {
    'type': 'ElasticSwinTransformer',
    'arch': ARCH,
    'widths': [16, 24, 32],
    'depths': [6, 7, 8],
    'img_size': 64,
    'window_size': 4,
    'pad_small_map': True,
}


def build(**overrides):
    torch.manual_seed(0)
    cfg = copy.deepcopy({**TINY, **overrides})
    return randomise(MODELS.build(cfg)).double().eval()


def images(size=64, batch=2):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(batch, 3, size, size, generator=generator).double()


def test_the_intact_network_is_the_stock_one():
    net = build()
    stock = SwinTransformer(ARCH, img_size=64, window_size=4, pad_small_map=True).double()
    stock.load_state_dict(net.state_dict())
    stock.eval()
    torch.testing.assert_close(net(images())[0], stock(images())[0], rtol=0, atol=1e-10)


def test_without_padding_a_map_of_one_window_is_not_shifted():
    net = build(pad_small_map=False, window_size=2, img_size=64)
    for subnet, size in (('largest', 64), ('w24-d7', 64), ('w16-d6', 80), ('w24-d8', 100)):
        stock = net.extract(subnet)
        (mine,), (theirs,) = net(images(size), subnet), stock(images(size))
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-10)
    with pytest.raises(ValueError, match='a map of 1 × 1 is smaller than the window of 2'):
        net(images(32))


@pytest.mark.parametrize('trained', [(3,), (0, 1, 2, 3)])
@pytest.mark.parametrize('wanted', [(0, 1, 2, 3), (3,), (0, 2)])
def test_outputs_of_other_stages_than_pre_training_s(trained, wanted):
    """Norms go along with their stages; what was not trained is a plain normalisation."""
    net = build(out_indices=trained)
    stock = net.extract('smallest', out_indices=wanted)
    every = SwinTransformer(
        net.subnet_cfg('smallest')['arch'],
        64,
        window_size=4,
        pad_small_map=True,
        out_indices=range(4),
    ).double()
    every.load_state_dict(net.subnet_state_dict('smallest'), strict=False)
    every.eval()
    expected = every(images())
    assert len(stock(images())) == len(wanted)
    for found, stage in zip(stock(images()), wanted, strict=True):
        torch.testing.assert_close(found, expected[stage], rtol=0, atol=1e-10)


def test_slices_by_hand():
    """Eq. 2 and 3 in the blocks, Eq. 11 in the patch merging, heads of the bias tables."""
    net = build()
    state, cut = net.state_dict(), net.subnet_state_dict(Subnet(24, 7))
    kept = [3 * j // 2 for j in range(3)]  # Eq. 4: 3 of 4 blocks in the third stage
    assert list(active_blocks(3, 4)) == kept == [0, 1, 3]
    for stage, blocks in enumerate(([0], [0, 1], kept, [0])):
        full, width = 32 * 2**stage, 24 * 2**stage
        for position, block in enumerate(blocks):
            theirs = f'stages.{stage}.blocks.{block}.'
            mine = f'stages.{stage}.blocks.{position}.'
            qkv = state[f'{theirs}attn.w_msa.qkv.weight'].view(3, full, full)
            expected = qkv[:, :width, :width].flatten(0, 1) * (32 / 24)
            torch.testing.assert_close(cut[f'{mine}attn.w_msa.qkv.weight'], expected)
            table = state[f'{theirs}attn.w_msa.relative_position_bias_table']
            expected = table[:, : 3 * 2**stage]
            assert torch.equal(cut[f'{mine}attn.w_msa.relative_position_bias_table'], expected)
            hidden = state[f'{theirs}ffn.layers.0.0.weight'][: 4 * width, :width] * (32 / 24)
            torch.testing.assert_close(cut[f'{mine}ffn.layers.0.0.weight'], hidden)
        if stage < 3:
            # Columns are channel-major, c · 4 + p: the first D_i of each of the four groups p.
            reduction = state[f'stages.{stage}.downsample.reduction.weight']
            groups = reduction.view(2 * full, full, 4)[: 2 * width, :width]
            expected = groups.reshape(2 * width, 4 * width) * (32 / 24)
            torch.testing.assert_close(cut[f'stages.{stage}.downsample.reduction.weight'], expected)
            norm = state[f'stages.{stage}.downsample.norm.weight'].view(full, 4)[:width]
            assert torch.equal(cut[f'stages.{stage}.downsample.norm.weight'], norm.flatten())
    projection = state['patch_embed.projection.weight'][:24]
    assert torch.equal(cut['patch_embed.projection.weight'], projection)
    assert len([name for name in cut if name.endswith('norm1.weight')]) == 7


def test_masks_show_the_token_and_hide_the_image():
    net = build(with_mask_token=True)
    assert net.mask_grid(64, 64) == (4, 4)
    assert net.mask_grid(96, 224) == (6, 14)
    masks = torch.zeros(2, 16, dtype=torch.bool)
    masks[:, 5] = True  # row 1, column 1 of the grid: pixels 16…31
    changed = images()
    changed[:, :, 16:32, 16:32] += 1
    for subnet in ('smallest', 'largest'):
        shown = net.tokens(images(), subnet, masks)
        assert torch.equal(shown[0], net.tokens(changed, subnet, masks)[0])
        assert not torch.equal(net.tokens(images(), subnet)[0], net.tokens(changed, subnet)[0])
    with torch.no_grad():
        net.mask_token.add_(1)
    assert not torch.equal(net.tokens(images(), None, masks)[0], shown[0])


def test_tokens_are_the_mean_and_the_map_twice_as_fine():
    net = build()
    (feature_map,) = net(images(), 'w24-d7')
    class_tokens, patches = net.tokens(images(), 'w24-d7')
    torch.testing.assert_close(class_tokens, feature_map.mean(dim=(2, 3)))
    fine = feature_map.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    assert torch.equal(patches, fine.flatten(2).transpose(1, 2))


def test_gradients_stay_within_the_slice():
    net = build()
    net(images(), 'w16-d6')[0].square().sum().backward()
    weight = net.stages[0].blocks[0].ffn.layers[0][0].weight.grad
    assert weight[:64, :16].abs().min() > 0
    assert not weight[64:].any()
    assert not weight[:, 16:].any()
    assert net.stages[2].blocks[1].norm1.weight.grad is None  # 2 of 4 blocks: the outer ones


def test_the_paper_s_supernet_holds_swin_t_s_and_b():
    """39 sub-networks; timm's counts, but for twice as many heads in the bias tables."""
    arch = {'embed_dims': 128, 'depths': [2, 2, 18, 2], 'num_heads': [8, 16, 32, 64]}
    paper = {'arch': arch, 'widths': [96, 112, 128], 'depths': list(range(12, 25))}
    net = build_on_meta({**TINY, **paper, 'img_size': 224, 'window_size': 7})
    assert len(net.space) == 39
    for name, size in (('swin-t', 'tiny'), ('swin-s', 'small'), ('swin-b', 'base')):
        with torch.device('meta'):
            stock = timm.create_model(f'swin_{size}_patch4_window7_224', num_classes=0)
        counts = {key: p.numel() for key, p in stock.named_parameters()}
        tables = sum(n for key, n in counts.items() if 'relative_position_bias' in key)
        assert net.num_params(name) == sum(counts.values()) + tables
        extracted = build_on_meta(net.subnet_cfg(name))
        assert sum(p.numel() for p in extracted.parameters()) == net.num_params(name)


@pytest.mark.parametrize(
    ('overrides', 'message'),
    [
        ({'widths': [20, 32]}, r'multiples of the head dimension 8 up to 32, got \[20\]'),
        ({'widths': [40]}, r'got \[40\]'),
        ({'depths': [4, 8]}, r'depths must be within 5…8, got \[4\]'),
        ({'use_abs_pos_embed': True}, 'use_abs_pos_embed cannot be set'),
        ({'out_indices': (0, 1)}, r'out_indices must hold the last stage 3, got \(0, 1\)'),
    ],
)
def test_what_cannot_be_elastic(overrides, message):
    with pytest.raises(ValueError, match=message):
        build(**overrides)


def test_the_config_builds_the_same_supernet():
    net = build(with_mask_token=True)
    twin = MODELS.build(net.config)
    assert set(twin.state_dict()) == set(net.state_dict())
    assert list(twin.space) == list(net.space)
    assert net.get_layer_depth('backbone.mask_token', 'backbone.') == (0, 10)


@pytest.mark.parametrize('drop_path_rate', [0.0, 0.5])
def test_recomputation_changes_no_gradient(drop_path_rate):
    gradients = []
    for with_cp in (False, True):
        net = build(with_cp=with_cp, drop_path_rate=drop_path_rate).train()
        torch.manual_seed(3)
        net(images(batch=4), 'w24-d7')[0].square().sum().backward()
        gradients.append([p.grad for p in net.parameters() if p.grad is not None])
    for plain, recomputed in zip(*gradients, strict=True):
        torch.testing.assert_close(recomputed, plain, rtol=0, atol=1e-10)
