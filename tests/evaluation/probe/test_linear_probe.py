"""Heads trained together against heads trained alone, and against logistic regression."""

import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from torch import nn

from poa_mm.evaluation.probe.linear import (
    MOMENTUM,
    Head,
    head_grid,
    held_out_rows,
    probe_accuracies,
    train_heads,
)


@pytest.fixture(scope='module')
def digits():
    """Real images as features in two widths: training and test halves."""
    data = load_digits()
    features = torch.from_numpy(data.data).float() / 16
    labels = torch.from_numpy(data.target).long()
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    train, test = order[:1200], order[1200:]
    sources = {'pixels': features, 'rows': features.view(-1, 8, 8).mean(dim=2)}
    return (
        {name: values[train] for name, values in sources.items()},
        labels[train],
        {name: values[test] for name, values in sources.items()},
        labels[test],
    )


def train_alone(features, labels, head, epochs, batch_size, seed):
    """One head by torch's own layers, optimiser and schedule."""
    generator = torch.Generator().manual_seed(seed)
    layer = nn.Linear(features.shape[1], 10)
    nn.init.normal_(layer.weight, 0, 0.01, generator=generator)
    nn.init.zeros_(layer.bias)
    optimizer = torch.optim.SGD(
        layer.parameters(), head.lr, MOMENTUM, weight_decay=head.weight_decay
    )
    steps = epochs * -(-len(features) // batch_size)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(epochs):
        for rows in torch.randperm(len(features), generator=generator).split(batch_size):
            optimizer.zero_grad()
            nn.functional.cross_entropy(layer(features[rows]), labels[rows]).backward()
            optimizer.step()
            schedule.step()
    return layer


def test_heads_trained_together_equal_heads_trained_alone(digits):
    features, labels, _, _ = digits
    heads = [Head('pixels', 0.5), Head('rows', 0.2, 1e-3), Head('pixels', 0.01, 0.1)]
    together = train_heads(features, labels, heads, 10, epochs=2, batch_size=250, seed=3)
    assert [trained.head for trained in together] == heads
    for trained in together:
        inputs = features[trained.head.source]
        layer = train_alone(inputs, labels, trained.head, 2, 250, 3)
        torch.testing.assert_close(trained.weight, layer.weight.data, rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(trained.bias, layer.bias.data, rtol=1e-4, atol=1e-6)


def test_the_best_head_reaches_logistic_regression(digits):
    features, labels, test, test_labels = digits
    kept, held_out = held_out_rows(len(labels))
    parts = [{name: x[rows] for name, x in features.items()} for rows in (kept, held_out)]
    heads = head_grid(['pixels', 'rows'], [0.03, 0.3, 1.0, 3.0])
    trained = train_heads(parts[0], labels[kept], heads, 10, epochs=30, batch_size=64)
    chosen_on = probe_accuracies(trained, parts[1], labels[held_out])
    best = trained[max(range(len(heads)), key=chosen_on.__getitem__)]
    assert best.head.source == 'pixels'
    (accuracy,) = probe_accuracies([best], test, test_labels)
    model = LogisticRegression(max_iter=2000).fit(features['pixels'][kept], labels[kept])
    expected = 100 * model.score(test['pixels'], test_labels)
    assert accuracy == pytest.approx(expected, abs=0.5)


def test_the_grid_of_the_paper_has_52_heads():
    heads = head_grid([f'last {n}{mean}' for n in (1, 4) for mean in ('', ' + mean')])
    assert len(set(heads)) == len(heads) == 52
    assert len(head_grid(['cls'], [0.1, 0.2], [0, 1e-4, 1e-2])) == 6


def test_held_out_images_are_apart_and_repeat():
    kept, held_out = held_out_rows(103, 0.2, seed=5)
    assert len(held_out) == 21
    assert sorted([*kept.tolist(), *held_out.tolist()]) == list(range(103))
    assert torch.equal(held_out, held_out_rows(103, 0.2, seed=5)[1])
    assert not torch.equal(held_out, held_out_rows(103, 0.2, seed=6)[1])
    assert [len(rows) for rows in held_out_rows(2, 0.01)] == [1, 1]


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'heads': []}, 'heads is empty'),
        ({'heads': [Head('other', 1.0)]}, r"no features \['other'\]; there are \['cls'\]"),
        ({'heads': [Head('cls', 0.0)]}, 'lr must be positive'),
        ({'labels': torch.zeros(3, dtype=torch.int64)}, r'got \(4, 2\) and \(3,\)'),
        ({'num_classes': 1}, r'labels must be in \[0, 0\], got 0…1'),
        ({'features': {'cls': torch.full((4, 2), torch.nan)}}, 'NaN or infinity'),
        ({'epochs': 0}, 'must be positive, got 0 and 256'),
    ],
)
def test_bad_input_is_refused(change, message):
    arguments = {
        'features': {'cls': torch.ones(4, 2)},
        'labels': torch.tensor([0, 1, 0, 1]),
        'heads': [Head('cls', 0.1)],
        'num_classes': 2,
    }
    with pytest.raises(ValueError, match=message):
        train_heads(**{**arguments, **change})
