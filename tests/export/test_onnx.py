"""ONNX files in ONNX Runtime."""

import json

import onnx
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny.families import SIZE, SUPERNETS, build, images

import poa_mm.export.onnx as module
from poa_mm.export import export_subnet

# The exporter takes seconds for each network; all sub-networks are exact before it sees them.
EXAMPLES = 1


def run(path, batch):
    session = onnxruntime.InferenceSession(path)
    return [torch.from_numpy(out) for out in session.run(None, {'images': batch.numpy()})]


@pytest.mark.slow
@pytest.mark.parametrize('family', SUPERNETS)
@settings(deadline=None, max_examples=EXAMPLES, derandomize=True)
@given(data=st.data())
def test_features_and_map_at_any_batch_size(data, family, tmp_path_factory):
    net = build(family)
    subnet = data.draw(st.sampled_from(net.subnets))
    path = tmp_path_factory.mktemp('export') / 'net.onnx'
    card = export_subnet(net, subnet, path, 'onnx', image_size=SIZE[family])
    assert card.difference < 1e-5
    last = {'out_type': 'featmap'} if family == 'vit' else {}
    stock = net.extract(subnet, **last)
    for size in (1, 2, 5, 8):
        batch = images(family, size)
        features, feature_map = run(path, batch)
        with torch.no_grad():
            expected = net.tokens(batch, subnet)[0], stock(batch)[-1]
        for got, wanted in zip((features, feature_map), expected, strict=True):
            atol = 1e-5 * wanted.abs().max().item()
            torch.testing.assert_close(got, wanted, rtol=0, atol=atol)


def test_the_file_describes_itself_and_stands_alone(tmp_path):
    export_subnet(build('vit'), 'w24-d3', tmp_path / 'net.onnx', 'onnx')
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        'net.onnx',
        'net.onnx.json',
        'net.onnx.md',
    ]
    model = onnx.load(tmp_path / 'net.onnx')
    onnx.checker.check_model(model)
    about = json.loads({entry.key: entry.value for entry in model.metadata_props}['poa_mm'])
    assert about['subnet'] == 'w24-d3'
    assert about['preprocessing']['image_size'] == [16, 16]
    session = onnxruntime.InferenceSession(tmp_path / 'net.onnx')
    assert [(item.name, item.shape) for item in session.get_inputs()] == [
        ('images', ['batch', 3, 16, 16])
    ]
    assert [(item.name, item.shape) for item in session.get_outputs()] == [
        ('features', ['batch', 24]),
        ('feature_map', ['batch', 24, 4, 4]),
    ]


def test_another_result_in_onnx_runtime_leaves_no_file(tmp_path, monkeypatch):
    session = module._session

    def wrong(path):
        opened = session(path)
        return lambda batch: [out * (1 + 1e-3 * (len(batch) == 3)) for out in opened(batch)]

    monkeypatch.setattr(module, '_session', wrong)
    with pytest.raises(ValueError, match=r'differ .* by 1\.0e-03 .*more than 1e-04; nothing was'):
        export_subnet(build('vit'), 'smallest', tmp_path / 'net.onnx', 'onnx')
    assert not list(tmp_path.iterdir())


def test_a_network_too_large_for_the_format(tmp_path, monkeypatch):
    monkeypatch.setattr(module, 'LARGEST', 1000)
    with pytest.raises(ValueError, match='an ONNX file holds less than 2 GiB'):
        export_subnet(build('vit'), 'smallest', tmp_path / 'net.onnx', 'onnx')
    assert not list(tmp_path.iterdir())
