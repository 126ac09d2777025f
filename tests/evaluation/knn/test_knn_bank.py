"""A bank in parts votes as the whole one, to the bit."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine import dist
from ranks import run_distributed

from poa_mm.evaluation import Bank, few_shot_rows, knn_predict
from poa_mm.evaluation.ranks import batches_of_rank, gather_rows

KS = (1, 5, 20)


def features(seed, count, ties=False, dtype=torch.float32):
    """Random features; with ties, many of them are equal."""
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randn(count, 8, generator=generator)
    return (rows.sign() if ties else rows).to(dtype)


def labels(seed, count, classes=5):
    return torch.randint(classes, (count,), generator=torch.Generator().manual_seed(seed))


@given(
    count=st.integers(20, 80),
    chunk=st.integers(1, 90),
    ties=st.booleans(),
    dtype=st.sampled_from([torch.float32, torch.float16]),
)
@settings(max_examples=20)
def test_a_whole_bank_votes_as_features_do_in_chunks_of_any_size(count, chunk, ties, dtype):
    train, test = features(0, count, ties, dtype), features(1, 30, ties, dtype)
    expected = knn_predict(train, labels(0, count), test, KS)
    found = Bank.whole(train, labels(0, count)).predict(test, KS, chunk_size=chunk)
    assert all(torch.equal(found[k], expected[k]) for k in KS)


def test_few_shot_banks_are_those_of_the_rows():
    train, classes, test = features(0, 60), labels(0, 60), features(1, 30)
    kept = few_shot_rows(classes, 4, draw=2)
    few = Bank.whole(train, classes).few_shot(4, draw=2)
    assert torch.equal(few.features, train[kept])
    assert torch.equal(few.labels, classes[kept])
    expected = knn_predict(train[kept], classes[kept], test, KS)
    assert all(torch.equal(few.predict(test, KS)[k], expected[k]) for k in KS)


def part_votes(rank, sizes):
    """Votes of banks that are shared by batches, of few-shot banks of them, and gathered rows."""
    found = []
    for count, batch, ties in sizes:
        train, classes, test = features(0, count, ties), labels(0, count), features(1, 30, ties)
        mine = batches_of_rank(count, batch, rank, dist.get_world_size())
        rows = torch.tensor([row for part in mine for row in part], dtype=torch.int64)
        bank = Bank(train[rows], rows, classes, shared=True)
        found.append(bank.predict(test, KS))
        found.append(bank.few_shot(4, 1).predict(test, KS))
        assert torch.equal(gather_rows(train[rows], rows, count), train)
    return found


def test_processes_that_share_a_bank_vote_as_one():
    # With one batch, the second process has nothing; equal features make ties across processes.
    sizes = [(61, 7, False), (64, 5, True), (40, 64, False)]
    expected = []
    for count, _, ties in sizes:
        train, classes, test = features(0, count, ties), labels(0, count), features(1, 30, ties)
        expected.append(knn_predict(train, classes, test, KS))
        kept = few_shot_rows(classes, 4, 1)
        expected.append(knn_predict(train[kept], classes[kept], test, KS))
    for found in run_distributed(part_votes, 2, sizes):
        for one, other in zip(found, expected, strict=True):
            assert all(torch.equal(one[k], other[k]) for k in KS)


def test_what_a_bank_refuses():
    bank = Bank.whole(features(0, 10), labels(0, 10))
    with pytest.raises(ValueError, match=r'k must be in \[1, 10\]'):
        bank.predict(features(1, 3), [11])
    with pytest.raises(ValueError, match='temperature must be > 0'):
        bank.predict(features(1, 3), [1], temperature=0)
    with pytest.raises(ValueError, match='fewer than the 9 asked for'):
        bank.few_shot(9, 0)
