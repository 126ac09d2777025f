"""Model cards, and accuracies from the table of tools/eval_knn.py."""

import json

import pytest
from tiny.families import build

from poa_mm.checkpoints.preprocessing import Preprocessing
from poa_mm.elastic import Subnet
from poa_mm.evaluation import KnnRow
from poa_mm.export import ModelCard
from poa_mm.export.model_card import accuracy_from_csv
from poa_mm.tables import save_csv

CARD = ModelCard(
    file='vit-s.onnx',
    format='onnx',
    sha256='ab12',
    subnet='w384-d12',
    name='vit-s',
    family='VisionTransformer',
    params=21_665_664,
    flops=4_608_338_304,
    parent={'file': 'epoch_100.pth', 'sha256': 'cd34', 'branch': 'teacher'},
    preprocessing=Preprocessing((224, 224)).as_dict(),
    accuracy={'metric': 'k-NN', 'feature': 'cls', 'k': {'10': 76.5, '20': 76.8}, 'file': 'knn.csv'},
    outputs='features (B, 384)',
    snippet='import onnxruntime',
    build={},
    difference=2.34e-6,
    tolerance=1e-4,
    versions={'poa_mm': '0.1.0', 'torch': '2.14.1'},
)


def test_markdown():
    text = CARD.to_markdown()
    assert text.startswith('# vit-s (w384-d12): VisionTransformer for onnx\n')
    assert '```python\nimport onnxruntime\n```' in text
    for row in (
        '| file | `vit-s.onnx`, SHA-256 `ab12` |',
        '| parent checkpoint | `epoch_100.pth` (teacher), SHA-256 `cd34` |',
        '| parameters | 21.67 M |',
        '| FLOPs | 4.61 G multiply-accumulates at 224 × 224 pixels |',
        '| images | 224 × 224 RGB, of values of 0…1 minus 0.4850 0.4560 0.4060, over '
        '0.2290 0.2240 0.2250; centre of a bicubic resize to 256 |',
        '| outputs | features (B, 384) |',
        "| checked | outputs differ from the sub-network's by at most 2.3e-06 of the largest one "
        '(limit 1e-04) |',
        '| accuracy | k-NN, feature `cls`, from `knn.csv`: k = 10: 76.5 %, k = 20: 76.8 % |',
        '| written with | poa_mm 0.1.0, torch 2.14.1 |',
    ):
        assert row in text.splitlines()
    assert 'under Apache-2.0' in text


def test_json_holds_every_field():
    data = json.loads(CARD.to_json())
    assert data == {**vars(CARD)}
    assert ModelCard(**data) == CARD


def row(net, subnet, k10):
    params = net.num_params(subnet)
    return KnnRow(
        str(subnet), '', subnet.width, subnet.depth, params, 'mean', {10: k10, 200: k10 + 1}, 3.0
    )


def test_accuracies_come_from_the_row_of_the_sub_network(tmp_path):
    path, net = tmp_path / 'knn.csv', build('resnet')
    small, large = net.space.smallest, net.space.largest
    save_csv([row(net, small, 71.25), row(net, large, 75.5)], path)
    assert accuracy_from_csv(path, net, large) == {
        'metric': 'k-NN top-1 (%)',
        'feature': 'mean',
        'k': {'10': 75.5, '200': 76.5},
        'file': 'knn.csv',
    }
    with pytest.raises(
        ValueError,
        match=r'no row for w64-d1-1-3-1; it has w32-d1-1-2-1, w64-d1-2-3-1$',
    ):
        accuracy_from_csv(path, net, Subnet(64, (1, 1, 3, 1)))


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        (
            'subnet,params,feature,k10\nw16-d2,{},cls,good\n',
            "k10 of w16-d2 is 'good', not a finite",
        ),
        ('subnet,params,feature,k10\nw16-d2,{},cls,nan\n', "k10 of w16-d2 is 'nan', not a finite"),
        ('subnet,params,feature,gain\nw16-d2,{},cls,3\n', 'has no columns k10, k20, …'),
        ('name,k10\nw16-d2,3\n', 'has no column subnet, params, feature'),
        ('', 'has no column subnet'),
        ('subnet,params,feature,k10\nw16-d2,7,cls,60\n', 'w16-d2 has 7 parameters there and'),
        ('subnet,params,feature,k10\nw16-d9,7,cls,60\n', "fit this supernet: no sub-network 'w16"),
    ],
)
def test_other_tables(text, message, tmp_path):
    path, net = tmp_path / 'knn.csv', build('vit')
    path.write_text(text.format(net.num_params(Subnet(16, 2))))
    with pytest.raises(ValueError, match=message):
        accuracy_from_csv(path, net, Subnet(16, 2))
    path.unlink()
    with pytest.raises(FileNotFoundError, match=str(path)):
        accuracy_from_csv(path, net, Subnet(16, 2))
