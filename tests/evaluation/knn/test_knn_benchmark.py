"""Rows of the benchmark on real patches, the choice of sub-networks, the untrained supernet."""

import pytest
import torch
from mmengine.logging import MMLogger

from poa_mm.elastic import SearchSpace, Subnet, select_subnets
from poa_mm.evaluation import extract_pixels, knn_accuracy, knn_rows, untrained_backbone


def test_rows_without_baselines(backbone, evaluator):
    subnets = [Subnet(32, 2), Subnet(64, 3)]
    rows = list(knn_rows(evaluator, backbone, subnets, 'mean'))
    assert [(row.subnet, row.name) for row in rows] == [
        ('w32-d2', 'smallest'),
        ('w64-d3', 'largest'),
    ]
    expected = dict(evaluator.evaluate(backbone, subnets, ('mean',)))
    for row, subnet in zip(rows, subnets, strict=True):
        assert (row.width, row.depth, row.feature) == (subnet.width, subnet.depth, 'mean')
        assert row.params == sum(p.numel() for p in backbone.extract(subnet).parameters())
        assert row.accuracies == expected[subnet]['mean']
        assert (row.k, row.accuracy) == (20, row.accuracies[20])
        assert row.untrained is row.pixels is row.gain is None


def test_rows_with_baselines_take_the_better_feature(backbone, evaluator):
    subnets = list(backbone.space)
    untrained = untrained_backbone(backbone)
    rows = list(knn_rows(evaluator, backbone, subnets, 'cls', untrained))
    random = dict(evaluator.evaluate(untrained, subnets, ('cls', 'mean')))
    train, train_labels = extract_pixels(evaluator.train_loader, evaluator.preprocessor)
    test, test_labels = extract_pixels(evaluator.test_loader, evaluator.preprocessor)
    pixels = {
        kind: knn_accuracy(train[kind], train_labels, test[kind], test_labels, (20,))[20]
        for kind in ('raw', 'normalised')
    }
    assert pixels['raw'] != pixels['normalised']
    assert len({row.untrained for row in rows}) > 1
    for row, subnet in zip(rows, subnets, strict=True):
        assert row.untrained == max(random[subnet]['cls'][20], random[subnet]['mean'][20])
        assert row.gain == row.accuracy - row.untrained
        assert row.pixels == pixels


def test_untrained_backbone_is_reproducible_and_changes_nothing(backbone):
    state = torch.random.get_rng_state()
    level = MMLogger.get_current_instance().level
    weights = {name: value.clone() for name, value in backbone.state_dict().items()}
    first, second, other = (untrained_backbone(backbone, seed) for seed in (0, 0, 1))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert MMLogger.get_current_instance().level == level
    assert first.space.names == backbone.space.names
    assert not first.training
    qkv = 'layers.0.attn.qkv.weight'
    states = [net.state_dict()[qkv] for net in (first, second, other)]
    assert torch.equal(states[0], states[1])
    assert not torch.equal(states[0], states[2])
    assert not torch.equal(states[0], weights[qkv])
    assert all(torch.equal(backbone.state_dict()[name], weights[name]) for name in weights)


def test_subnets_are_selected_by_name():
    names = {'vit-s': Subnet(384, 12), 'vit-b': Subnet(768, 12)}
    space = SearchSpace([384, 768, 1024], [12, 24], names=names)
    assert select_subnets(space, 'all') == list(space)
    assert select_subnets(space, 'named') == [
        Subnet(384, 12),
        Subnet(768, 12),
        Subnet(1024, 24),
    ]
    assert select_subnets(space, 'vit-b, w384-d24,vit-b') == [Subnet(768, 12), Subnet(384, 24)]
    with pytest.raises(ValueError, match=r"'vit-x'; valid: vit-s, vit-b, smallest, largest"):
        select_subnets(space, 'vit-s,vit-x')
