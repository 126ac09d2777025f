"""Heads that are trained in parts, after a break, or beside one that diverges."""

import pytest
import torch

from poa_mm.evaluation.probe import heads as linear_heads
from poa_mm.evaluation.probe import parts as probe_parts
from poa_mm.evaluation.probe.heads import Head, HeadTrainer
from poa_mm.evaluation.probe.linear import train_heads
from poa_mm.evaluation.probe.parts import Part, PartTrainer, Tally, parts_of_network, passes
from poa_mm.evaluation.probe.settings import best_head
from poa_mm.evaluation.probe.sources import ProbeSources, probe_columns

HEADS = [Head('a', 0.5), Head('b', 0.1), Head('a', 0.05, 1e-2), Head('b', 1.0, 1e-3)]


@pytest.fixture
def features():
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(3, (70,), generator=generator)
    noise = torch.randn(70, 5, generator=generator)
    return {'a': noise[:, :3] + labels[:, None], 'b': noise}, labels


def trainer(heads, steps=6, classes=3):
    return HeadTrainer(heads, 3, classes, steps, torch.Generator().manual_seed(1))


def test_heads_in_parts_are_the_same_heads(features, monkeypatch):
    inputs, labels = features
    whole = train_heads(inputs, labels, HEADS, 3, epochs=2, batch_size=16)
    monkeypatch.setattr(linear_heads, 'LOGITS', 16 * 3)  # of one head at a time
    monkeypatch.setattr(probe_parts.parts_of, '__defaults__', (1,))  # a part for each head
    for one, other in zip(train_heads(inputs, labels, HEADS, 3, 2, 16), whole, strict=True):
        assert one.head == other.head
        torch.testing.assert_close(one.weight, other.weight)
        torch.testing.assert_close(one.bias, other.bias)
        assert torch.equal(
            one.predict(inputs[one.head.source]), other.predict(inputs[one.head.source])
        )


def test_training_goes_on_from_a_state(features):
    inputs, labels = features
    heads = [HEADS[0], HEADS[2]]
    whole, first, second = trainer(heads), trainer(heads), trainer(heads)
    for step in range(6):
        rows = slice(10 * step, 10 * step + 10)
        whole.step(inputs['a'][rows], labels[rows])
        if step == 3:
            second.resume({name: part.clone() for name, part in first.state().items()})
        (first if step < 3 else second).step(inputs['a'][rows], labels[rows])
    assert second.done == 6
    for number in range(2):
        assert torch.equal(whole.trained(number).weight, second.trained(number).weight)


def test_a_head_that_diverges_changes_no_other_and_classifies_nothing(features):
    inputs, labels = features
    alone, beside = trainer([HEADS[0]], 30), trainer([Head('a', 3e38), HEADS[0]], 30)
    for _ in range(30):
        alone.step(inputs['a'], labels)
        beside.step(inputs['a'], labels)
    torch.testing.assert_close(alone.trained(0).weight, beside.trained(1).weight)
    assert beside.correct(inputs['a'], labels).tolist() == [0, alone.correct(inputs['a'], labels)]


def test_the_choice_among_equals_is_the_most_regularised():
    heads = [Head('a', 0.1), Head('a', 0.2, 1e-3), Head('a', 0.1, 1e-3), Head('a', 0.1, 1e-2)]
    assert best_head([50.0, 60.0, 60.0, 40.0], heads) == 2
    assert best_head([70.0, 60.0, 60.0, 40.0], heads) == 0


def test_passes_hold_what_memory_holds():
    sources = ProbeSources((4, 8), 8)
    heads = [Head(source, 0.1) for source in sources.columns for _ in range(3)]
    parts = parts_of_network('net', heads, sources, num_classes=10, memory=2000)
    assert sorted(number for part in parts for number in part.numbers) == list(range(12))
    assert all(part.size <= 2000 for part in parts)
    assert {part.source: part.columns for part in parts} == sources.columns
    for memory in (1, 2000, 5000, 10**9):
        groups = passes(parts, memory)
        assert [part for group in groups for part in group] == parts
        assert all(len(group) == 1 or sum(p.size for p in group) <= memory for group in groups)
    assert len(passes(parts, 1)) == len(parts)
    assert len(passes(parts, 10**9)) == 1


def test_the_best_head_is_kept_while_parts_go_by():
    sources = ProbeSources((3,), 3)
    tally, other = Tally(HEADS[:3]), Tally(HEADS[:3])
    for numbers, accuracies in (((0, 1), [10.0, 30.0]), ((2,), [20.0])):
        part = Part('net', 'last 1', sources.columns['last 1'], numbers, 0)
        one = PartTrainer(part, HEADS[:3], 4, 1, seed=0, device='cpu')
        tally.add(one, accuracies, [1 + value for value in accuracies])
        other.resume(tally.state())
    for each in (tally, other):
        result = each.result()
        assert (result.chosen, result.top1, result.test) == (1, 31.0, (11.0, 31.0, 21.0))
        assert result.best.weight.shape == (4, 3)


def test_sources_are_columns_of_one_matrix():
    cls, patches = torch.full((2, 3), 9.0), torch.arange(12.0).view(2, 2, 3)
    levels = [torch.full((2, 1), 1.0), torch.full((2, 2), 2.0), cls]
    features, sources = probe_columns(cls, patches, levels)
    split = sources.split(features)
    mean = patches.mean(dim=1)
    assert torch.equal(split['last 1'], cls)
    assert torch.equal(split['last 4'], torch.cat(levels, dim=1))
    assert torch.equal(split['last 1 + mean'], torch.cat((cls, mean), dim=1))
    assert torch.equal(split['last 4 + mean'], torch.cat((*levels, mean), dim=1))
    assert all(part.untyped_storage().data_ptr() == features.data_ptr() for part in split.values())
    assert set(probe_columns(cls, patches)[1].columns) == {'last 1', 'last 1 + mean'}
