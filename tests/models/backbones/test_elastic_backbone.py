"""What a family outside of poa_mm meets when it is incomplete or brings layers of its own."""

import copy

import pytest
from mmpretrain.models.backbones import VisionTransformer
from tiny.networks import TINY_BACKBONE
from torch import nn

from poa_mm.models.backbones import ElasticBackbone, ElasticVisionTransformer
from poa_mm.registry import MODELS

TO_DEFINE = {
    'arch',
    'blocks',
    'check_axes',
    'feature_width',
    'full_width',
    'kept_blocks',
    'mask_grid',
    'subnet_cfg',
    'tokens',
}


def test_what_a_family_lacks_shows_when_it_is_built():
    class Incomplete(ElasticBackbone, VisionTransformer):
        pass

    assert Incomplete.__abstractmethods__ == TO_DEFINE
    with pytest.raises(TypeError, match=r'abstract methods .*arch.*blocks.*feature_width.*tokens'):
        Incomplete()


def test_config_takes_arch_from_the_family():
    class Renamed(ElasticVisionTransformer):
        @property
        def arch(self):
            return {**super().arch, 'num_layers': (3, 1)}

    cfg = copy.deepcopy({**TINY_BACKBONE, 'type': Renamed})
    assert MODELS.build(cfg).config['arch'] == {**TINY_BACKBONE['arch'], 'num_layers': [3, 1]}


def test_a_layer_without_an_elastic_form_is_named():
    net = MODELS.build(copy.deepcopy(TINY_BACKBONE))
    net.layers[0].ln1 = nn.BatchNorm1d(32)
    message = r'layer layers\.0\.ln1 is a BatchNorm1d, which has no elastic form'
    with pytest.raises(ValueError, match=message):
        net.check_elastic()


class SquareConv2d(nn.Conv2d):
    """A patch embedding whose rule is not one of poa_mm's: not proportional to the width."""

    @property
    def full_width(self):
        return self.out_channels

    def sliced(self, width):
        weight = self.weight[:width, :, : width // 8, : width // 8]
        return {'weight': weight, 'bias': self.bias[:width]}


def test_all_sub_networks_are_counted_with_layers_of_one_s_own():
    net = MODELS.build(copy.deepcopy(TINY_BACKBONE))
    net.patch_embed.projection.__class__ = SquareConv2d
    space = net.search_space(
        TINY_BACKBONE['widths'], TINY_BACKBONE['depths'], 3.0, net.space.intact, None
    )
    assert len(space) == 9
    counts = [
        sum(part.numel() for part in net.subnet_state_dict(subnet).values()) for subnet in space
    ]
    assert counts == [net.num_params(subnet) for subnet in space]
    assert counts == sorted(counts)
    assert net.subnet_state_dict('w16-d2')['patch_embed.projection.weight'].shape == (16, 3, 2, 2)
