"""Sub-networks that share blocks give the tokens of separate passes."""

import pytest
import torch
from tiny.families import SUPERNETS, build, images

from poa_mm.elastic import ElasticLayer, Subnet
from poa_mm.evaluation import SharedPrefixes, grid_tokens
from poa_mm.models.backbones import ElasticVisionTransformer
from poa_mm.registry import ELASTIC_BACKBONES


def count_calls(backbone):
    """Count how often blocks really run."""
    calls = []
    for block in backbone.blocks:
        module = next(
            m for m in block.modules() if isinstance(m, torch.nn.Linear | torch.nn.Conv2d)
        )
        module.register_forward_hook(lambda *_: calls.append(1))
    return calls


@pytest.mark.parametrize('family', SUPERNETS)
@torch.inference_mode()
def test_tokens_equal_those_of_separate_passes_bit_by_bit(family):
    backbone = build(family)
    batch = images(family, batch=3)
    expected = {subnet: backbone.tokens(batch, subnet) for subnet in backbone.subnets}
    calls = count_calls(backbone)
    plan = SharedPrefixes(backbone, backbone.subnets)
    assert plan.num_blocks < plan.num_separate_blocks
    got = {subnet: (cls, patches) for subnet, cls, patches in plan.tokens(batch)}
    assert len(calls) == 2 * plan.num_blocks + plan.num_separate_blocks  # with the check
    assert got.keys() == expected.keys()
    for subnet, tokens in expected.items():
        assert all(map(torch.equal, tokens, got[subnet]))
    again = {subnet: cls for subnet, cls, _ in plan.tokens(batch)}
    assert len(calls) == 3 * plan.num_blocks + plan.num_separate_blocks
    assert all(torch.equal(again[subnet], cls) for subnet, (cls, _) in expected.items())


@torch.inference_mode()
def test_windows_that_shift_by_block_are_shared_too():
    """In the authors' Swin, a block shifts by its number; in mmpretrain's, by its position."""
    arch = {'embed_dims': 32, 'depths': [1, 1, 6, 1], 'num_heads': [4, 8, 16, 32]}
    for official in (False, True):
        backbone = build('swin', arch=arch, depths=range(5, 10), widths=[32], official=official)
        batch = images('swin')
        for subnet, cls, patches in grid_tokens(backbone, batch):
            assert all(map(torch.equal, (cls, patches), backbone.tokens(batch, subnet)))


def test_the_depths_of_vit_l_share_a_third_of_their_blocks():
    arch = {'embed_dims': 64, 'num_layers': 24, 'num_heads': 4, 'feedforward_channels': 64}
    vit = ElasticVisionTransformer(arch, widths=[32, 64], depths=range(12, 25), patch_size=112)
    plan = SharedPrefixes(vit, vit.subnets)
    assert (plan.num_blocks, plan.num_separate_blocks) == (2 * 161, 2 * 234)
    # Few outputs are alive at a time, and every pass finds the one that it goes on from.
    alive = set()
    for one in plan.passes:
        assert not one.reused or one.reused in alive
        alive = (alive | set(range(one.reused, len(one.path) + 1))) & one.kept
        assert one.kept == alive
        assert len(alive) <= 4
    assert not alive


def test_sub_networks_that_share_nothing_run_once():
    backbone = build('vit')
    calls = count_calls(backbone)
    subnets = [Subnet(16, 2), Subnet(32, 4)]
    with torch.inference_mode():
        assert [subnet for subnet, *_ in grid_tokens(backbone, images('vit'), subnets)] == subnets
    assert len(calls) == 6


@torch.inference_mode()
def test_a_family_whose_tokens_need_every_block_runs_separately():
    class Both(type(build('vit'))):
        def tokens(self, x, subnet=None, masks=None):
            first = self.layers[0](self._embed(x, self.space.resolve(subnet).width, masks)[0])
            cls, patches = super().tokens(x, subnet, masks)
            return torch.cat((cls, first[:, 0]), dim=1), patches

    cfg = {key: value for key, value in SUPERNETS['vit'].items() if key != 'type'}
    torch.manual_seed(0)
    backbone = Both(**cfg).eval()
    batch = images('vit')
    for subnet, cls, patches in grid_tokens(backbone, batch):
        assert all(map(torch.equal, (cls, patches), backbone.tokens(batch, subnet)))


@torch.inference_mode()
def test_blocks_are_left_as_they_were_when_a_pass_fails():
    backbone = build('vit')
    plan = SharedPrefixes(backbone, backbone.subnets)
    with pytest.raises(RuntimeError, match='3 channels'):
        list(plan.tokens(torch.zeros(2, 5, 16, 16)))
    assert not any('forward' in vars(block) for block in backbone.blocks)
    calls = count_calls(backbone)
    list(plan.tokens(images('vit')))
    assert len(calls) == 2 * plan.num_blocks + plan.num_separate_blocks  # still shared
    assert not any('forward' in vars(block) for block in backbone.blocks)


def test_training_mode_is_refused():
    backbone = ELASTIC_BACKBONES.build(SUPERNETS['vit'])
    with pytest.raises(ValueError, match='evaluation mode'):
        list(grid_tokens(backbone.train(), images('vit')))


@pytest.mark.parametrize('family', SUPERNETS)
@torch.inference_mode()
def test_weights_are_sliced_once_for_each_width(family, monkeypatch):
    backbone = build(family)
    plan = SharedPrefixes(backbone, backbone.subnets)
    list(plan.tokens(images(family, batch=2)))  # with the check
    layers = [module for module in backbone.modules() if isinstance(module, ElasticLayer)]
    calls = []

    def counting(sliced):
        return lambda layer, width: (calls.append((layer, width)), sliced(layer, width))[1]

    for kind, sliced in {type(layer): type(layer).sliced for layer in layers}.items():
        monkeypatch.setattr(kind, 'sliced', counting(sliced))
    list(plan.tokens(images(family, batch=2)))
    assert len(calls) == len(set(calls)) > len(layers)
    assert not any('sliced' in vars(layer) for layer in layers)
