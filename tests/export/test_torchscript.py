"""TorchScript files."""

import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny.families import SIZE, SUPERNETS, build, images

import poa_mm.export.torchscript as module
from poa_mm.export import export_subnet


@pytest.mark.parametrize('family', SUPERNETS)
@settings(deadline=None, max_examples=2)
@given(data=st.data())
def test_features_and_map_at_any_batch_size(data, family, tmp_path_factory):
    net = build(family)
    subnet = data.draw(st.sampled_from(net.subnets))
    path = tmp_path_factory.mktemp('export') / 'net.pt'
    export_subnet(net, subnet, path, 'torchscript', image_size=SIZE[family])
    traced = torch.jit.load(path)
    last = {'out_type': 'featmap'} if family == 'vit' else {}
    stock = net.extract(subnet, **last)
    for size in (1, 2, 5):
        batch = images(family, size)
        with torch.no_grad():
            features, feature_map = traced(batch)
            expected = net.tokens(batch, subnet)[0], stock(batch)[-1]
        for got, wanted in zip((features, feature_map), expected, strict=True):
            torch.testing.assert_close(got, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('family', SUPERNETS)
def test_it_moves_to_other_devices(family, tmp_path):
    """All tensors are parameters or buffers; constants of the trace would stay where they are."""
    path = tmp_path / 'net.pt'
    export_subnet(build(family), 'largest', path, 'torchscript', image_size=SIZE[family])
    graph = torch.jit.load(path).inlined_graph
    constants = [node.output() for node in graph.findAllNodes('prim::Constant')]
    tensors = [c.toIValue() for c in constants if isinstance(c.toIValue(), torch.Tensor)]
    assert all(tensor.ndim == 0 for tensor in tensors)
    assert 'cpu' not in str(graph)


def test_the_file_describes_itself(tmp_path):
    path = tmp_path / 'net.pt'
    export_subnet(build('vit'), 'w24-d3', path, 'torchscript')
    extra = {'poa_mm.json': ''}
    torch.jit.load(path, _extra_files=extra)
    assert json.loads(extra['poa_mm.json'])['subnet'] == 'w24-d3'


def test_a_trace_that_holds_for_one_batch_size_alone_leaves_no_file(tmp_path, monkeypatch):
    """mmpretrain's own Swin computes the batch size as a number."""
    monkeypatch.setattr(module, 'traceable', lambda net, images: net)
    with pytest.raises(ValueError, match='nothing was written'):
        export_subnet(build('swin'), 'smallest', tmp_path / 'net.pt', 'torchscript')
    assert not list(tmp_path.iterdir())
