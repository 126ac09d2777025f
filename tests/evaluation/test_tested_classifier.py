"""Fine-tuned classifiers find their place in the paper's tables."""

import pytest
from helpers import ROOT, load_config

from poa_mm.evaluation.paper import compare, read_paper
from poa_mm.evaluation.tested_classifier import accuracy_results


class Images:
    """What is asked of a data set of 50,000 images."""

    def __init__(self, number):
        self.number = number
        self.metainfo = {'classes': [str(i) for i in range(1000)]}

    def __len__(self):
        return self.number

    def get_data_info(self, index):
        return {'gt_label': index % 1000}


@pytest.fixture
def file(tmp_path):
    path = tmp_path / 'best.pth'
    path.write_bytes(b'weights')
    return path


@pytest.mark.parametrize(
    ('config', 'table', 'place'),
    [
        ('finetune_poa_vit-b', 'D.2 fine-tuning ViT', ('POA, vit-b, epochs 0', 'accuracy')),
        ('finetune_poa_swin-s', '10', ('POA, swin-s, epochs 0', 'accuracy')),
        ('finetune_poa_resnet-101', '10', ('POA, resnet-101, epochs 0', 'accuracy')),
        ('linear_poa_vit-s', '1c', ('POA, vit-s, epochs 0', 'linear')),
        ('semisup_poa_vit-s_10percent', 'D.2 semi-supervised', ('POA, vit-s', '10 %')),
        ('semisup_poa_resnet-50_1percent', 'D.2 semi-supervised', ('POA, resnet-50', '1 %')),
        ('transfer_poa_vit-b_cars', '12', ('POA, vit-b', 'stanford-cars')),
    ],
)
def test_a_test_is_one_number_of_the_paper(config, table, place, file):
    cfg = load_config(f'cls/{config}.py')
    images = Images(50_000 if 'transfer' not in config else 8)
    metrics = {'accuracy/top1': 81.5, 'accuracy/top5': 95.0, 'time': 1.0}
    found = accuracy_results(cfg, file, metrics, images, 3.0)
    assert [result.metric for result in found] == ['top1', 'top5']
    (comparison,) = compare(
        [t for t in read_paper(ROOT / 'results/paper.yaml') if t.number == table], found
    )
    filled = [
        (comparison.table.rows[i], comparison.table.columns[j])
        for i, row in enumerate(comparison.ours)
        for j, one in enumerate(row)
        if one is not None
    ]
    assert filled == [place]


def test_runs_are_told_apart(file):
    cfg = load_config('cls/finetune_poa_vit-s.py')
    cfg.official = True
    cfg.model.teacher = 'l.pth'
    (result,) = accuracy_results(cfg, file, {'accuracy/top1': 80.0}, Images(10), None)
    assert result.settings == {'max_epochs': 200, 'official': True, 'teacher': 'l.pth'}
    assert (result.network, result.name, result.unit) == ('w384-d12', 'vit-s', '%')
    assert result.source_sha256
    cfg.pop('results')
    assert accuracy_results(cfg, file, {'accuracy/top1': 80.0}, Images(10), None) == []
