"""What only pre-training uses: masks, drop path by batch subset, recomputation, compilation."""

import copy

import pytest
import torch
from by_hand import masked_tokens, stock_by_hand
from tiny.networks import TINY_BACKBONE, randomise

from poa_mm.models.backbones.vit_layers import add_residual
from poa_mm.registry import MODELS


def build(**overrides):
    torch.manual_seed(0)
    cfg = copy.deepcopy({**TINY_BACKBONE, 'with_mask_token': True, **overrides})
    return randomise(MODELS.build(cfg)).double()


def images(batch=5):
    return torch.randn(batch, 3, 16, 16, generator=torch.Generator().manual_seed(1)).double()


@pytest.mark.parametrize('name', ['w16-d2', 'w24-d4', 'largest'])
def test_masked_patches_show_the_mask_token(name):
    net = build().eval()
    subnet = net.space[name]
    masks = torch.rand(5, 16, generator=torch.Generator().manual_seed(2)) < 0.5
    stock = stock_by_hand(net, subnet, img_size=16, patch_size=4, layer_scale_init_value=1.0)
    expected = masked_tokens(stock, images(), masks, net.mask_token[0, 0, : subnet.width])
    class_tokens, patches = net.tokens(images(), name, masks)
    torch.testing.assert_close(class_tokens, expected[:, 0], rtol=0, atol=1e-10)
    torch.testing.assert_close(patches, expected[:, 1:], rtol=0, atol=1e-10)


def test_a_hidden_patch_does_not_matter():
    net = build().eval()
    masks = torch.zeros(5, 16, dtype=torch.bool)
    masks[:, 0] = True
    changed = images()
    changed[:, :, :4, :4] += 1
    assert torch.equal(net.tokens(images(), masks=masks)[0], net.tokens(changed, masks=masks)[0])
    assert not torch.equal(net.tokens(images())[0], net.tokens(changed)[0])


def test_masks_need_a_mask_token():
    net = build(with_mask_token=False)
    with pytest.raises(ValueError, match='no mask token'):
        net.tokens(images(), masks=torch.zeros(5, 16, dtype=torch.bool))


def test_the_mask_token_stays_behind():
    net, without = build(), build(with_mask_token=False)
    assert 'mask_token' not in net.extract('w16-d2').state_dict()
    assert net.num_params('w16-d2') == without.num_params('w16-d2')
    assert net.get_layer_depth('backbone.mask_token', 'backbone.') == (0, 6)
    twin = MODELS.build(net.config)
    assert set(twin.state_dict()) == set(net.state_dict())


def test_drop_path_runs_the_branch_on_a_subset():
    x, seen = images(10), []

    def branch(part):
        seen.append(len(part))
        return torch.ones_like(part)

    torch.manual_seed(0)
    out = add_residual(x, branch, drop_prob=0.2)
    assert seen == [8]
    gains = (out - x).flatten(1)
    torch.testing.assert_close(gains.std(dim=1), torch.zeros(10).double())
    values = gains[:, 0].sort().values
    torch.testing.assert_close(values, torch.tensor([0.0] * 2 + [10 / 8] * 8).double())


def test_the_expectation_of_drop_path_is_the_branch():
    x = images(4)
    torch.manual_seed(0)
    mean = sum(add_residual(x, torch.sin, 0.5) for _ in range(3000)) / 3000
    torch.testing.assert_close(mean, x + x.sin(), rtol=0, atol=0.08)


def test_at_least_one_image_takes_the_branch():
    assert torch.equal(add_residual(images(1), torch.sin, 0.9), images(1) + images(1).sin())


def test_the_same_rate_in_every_block_on_request():
    def rates(net):
        return [(b.attn.out_drop.drop_prob, b.ffn.dropout_layer.drop_prob) for b in net.layers]

    assert rates(build(drop_path_rate=0.3, drop_path_uniform=True)) == [(0.3, 0.3)] * 4
    rising = rates(build(drop_path_rate=0.3))
    assert [a for a, _ in rising] == pytest.approx([0.0, 0.1, 0.2, 0.3])


def test_drop_path_is_for_training_and_differs_between_images():
    net = build(drop_path_rate=0.5, drop_path_uniform=True)
    whole = build()
    same = images(1).expand(8, -1, -1, -1)
    net.eval()
    assert torch.equal(net(same, 'w24-d3')[0], whole.eval()(same, 'w24-d3')[0])
    net.train()
    torch.manual_seed(0)
    assert len(net(same, 'w24-d3')[0].unique(dim=0)) > 1


@pytest.mark.parametrize('drop_path_rate', [0.0, 0.5])
def test_recomputation_changes_no_gradient(drop_path_rate):
    gradients = []
    for with_cp in (False, True):
        net = build(
            with_cp=with_cp, drop_path_rate=drop_path_rate, drop_path_uniform=True, img_size=16
        ).train()
        torch.manual_seed(3)
        masks = torch.rand(5, 16, generator=torch.Generator().manual_seed(2)) < 0.5
        class_tokens, patches = net.tokens(images(), 'w24-d3', masks)
        (class_tokens.square().sum() + patches.sin().sum()).backward()
        gradients.append([p.grad for p in net.parameters() if p.grad is not None])
    assert len(gradients[0]) == len(gradients[1]) > 10
    for plain, recomputed in zip(*gradients, strict=True):
        torch.testing.assert_close(recomputed, plain, rtol=0, atol=1e-12)
