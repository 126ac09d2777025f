"""ONNX files in ONNX Runtime."""

import json

import onnx
import onnxruntime
import pytest
import torch
from snippets import check_snippet
from tiny.families import build, images

import poa_mm.export.onnx as module
from poa_mm.export import export_subnet

# One sub-network of each family, of few blocks: the exporter takes seconds for each, and all
# sub-networks are exact before it sees them.
SMALL = {
    'vit': {},
    'swin': {  # with a shifted block, a merged map that is one window, and one that is padded
        'arch': {'embed_dims': 32, 'depths': [2, 1, 1], 'num_heads': [4, 8, 16]},
        'depths': [4],
        'img_size': 32,
        'out_indices': (2,),
    },
    'resnet': {
        'arch': {'stage_blocks': (1, 1, 1, 1), 'mid_channels': 64, 'out_channels': 128},
        'depths': [(1, 1, 1, 1)],
    },
}
SUBNET = {'vit': 'w24-d3', 'swin': 'w24-d4', 'resnet': 'smallest'}


def run(path, batch):
    session = onnxruntime.InferenceSession(path)
    return [torch.from_numpy(out) for out in session.run(None, {'images': batch.numpy()})]


@pytest.mark.slow
@pytest.mark.parametrize(('family', 'channels'), [('vit', 1), ('swin', 4), ('resnet', 2)])
def test_features_and_map_at_any_batch_size(family, channels, tmp_path, monkeypatch):
    net, subnet = build(family, in_channels=channels, **SMALL[family]), SUBNET[family]
    path = tmp_path / 'net.onnx'
    card = export_subnet(net, subnet, path, 'onnx', image_size=32 if family != 'vit' else 16)
    assert card.difference < 1e-5
    check_snippet(card, path, net, monkeypatch)
    last = {'out_type': 'featmap'} if family == 'vit' else {}
    stock = net.extract(subnet, **last)
    for size in (1, 2, 5, 8):
        batch = images(family, size, size=card.preprocessing['image_size'][0], channels=channels)
        features, feature_map = run(path, batch)
        with torch.no_grad():
            expected = net.tokens(batch, subnet)[0], stock(batch)[-1]
        for got, wanted in zip((features, feature_map), expected, strict=True):
            atol = 1e-5 * wanted.abs().max().item()
            torch.testing.assert_close(got, wanted, rtol=0, atol=atol)


def test_the_file_describes_itself_and_stands_alone(tmp_path):
    export_subnet(build('vit', in_channels=1), 'w24-d3', tmp_path / 'net.onnx', 'onnx')
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
        ('images', ['batch', 1, 16, 16])
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
        export_subnet(build('vit', in_channels=1), 'w24-d3', tmp_path / 'net.onnx', 'onnx')
    assert not list(tmp_path.iterdir())


def test_a_network_too_large_for_the_format(tmp_path, monkeypatch):
    monkeypatch.setattr(module, 'LARGEST', 1000)
    with pytest.raises(ValueError, match='an ONNX file holds less than 2 GiB'):
        export_subnet(build('vit'), 'smallest', tmp_path / 'net.onnx', 'onnx')
    assert not list(tmp_path.iterdir())
