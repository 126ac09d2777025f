"""Names keep their meaning after a run of another library in the same process."""

import pytest
import torch
from mmengine.registry import DefaultScope
from mmpretrain.models.backbones import VisionTransformer
from tiny.families import build, images

from poa_mm.checkpoints.build import build_on_meta
from poa_mm.selection import subnet_latency


@pytest.fixture
def run_of_mmseg():
    """Mean mmseg's classes, which has a VisionTransformer of its own and no POA."""
    pytest.importorskip('mmseg.models')
    DefaultScope.get_instance('run of mmseg', scope_name='mmseg')


def test_a_supernet_and_its_networks(run_of_mmseg):
    net = build('vit')
    stock = net.extract('smallest')
    assert type(stock) is VisionTransformer
    with torch.no_grad():
        torch.testing.assert_close(stock(images('vit'))[-1], net(images('vit'), 'smallest')[-1])
    assert subnet_latency(net, 'smallest', image_size=16, seconds=0.01) > 0
    assert type(build_on_meta(net.config)) is type(net)


@pytest.mark.parametrize('turn', ['first', 'second'])
def test_scopes_of_tests_do_not_meet(turn):
    """The second fails if the first leaves its scope, even where it was overwritten for a while."""
    assert DefaultScope.get_current_instance() is None
    DefaultScope.get_instance('run of mmseg', scope_name='mmseg')
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        pass
