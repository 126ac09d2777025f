"""Nearest neighbours against numpy in float64, whatever the chunks and data types."""

import numpy as np
import pytest
import torch

from poa_mm.evaluation import knn_accuracy, knn_predict
from poa_mm.evaluation.knn import neighbours
from poa_mm.evaluation.knn.neighbours import nearest_neighbours, rows_at_once


@pytest.fixture
def features():
    """Training features with copies and near copies of one another, and test features."""
    generator = torch.Generator().manual_seed(0)
    train = torch.randn(300, 24, generator=generator)
    train[100:140] = train[3]
    train[140:170] = 7 * train[4] + 1e-7 * torch.randn(30, 24, generator=generator)
    train[180] = 0
    test = torch.cat((torch.randn(50, 24, generator=generator), train[3:5], train[180:181]))
    return train, test


def reference(train, test, k):
    train, test = train.double().numpy(), test.double().numpy()
    norms = [np.maximum(np.sqrt((x * x).sum(-1, keepdims=True)), 1e-12) for x in (train, test)]
    similarity = ((train[None] * test[:, None]).sum(-1)) / (norms[0].T * norms[1])
    index = np.argsort(-similarity, axis=1, kind='stable')[:, :k]
    return np.take_along_axis(similarity, index, axis=1), index


@pytest.mark.parametrize('elements', [24 * 17, 24 * 64, 2**22])
@pytest.mark.parametrize('k', [1, 20, 300])
def test_neighbours_equal_a_sort_in_float64_for_all_chunks(features, k, elements, monkeypatch):
    monkeypatch.setattr(neighbours, 'CHUNK_ELEMENTS', elements)
    train, test = features
    similarity, index = nearest_neighbours(train, test, k)
    expected, order = reference(train, test, k)
    np.testing.assert_allclose(similarity.numpy(), expected, rtol=0, atol=1e-14)
    # Where float64 itself cannot tell two apart, either may come first.
    differ = index.numpy() != order
    assert (np.abs(np.take_along_axis(full(train, test), index.numpy(), 1) - expected) < 1e-15)[
        differ
    ].all()


def full(train, test):
    similarity, index = reference(train, test, len(train))
    return np.take_along_axis(similarity, np.argsort(index, axis=1), axis=1)


def test_chunks_change_no_bit(features, monkeypatch):
    train, test = features
    whole = nearest_neighbours(train, test, 20)
    for elements in (24 * 5, 24 * 40, 24 * 299):
        monkeypatch.setattr(neighbours, 'CHUNK_ELEMENTS', elements)
        monkeypatch.setattr(neighbours, 'EXACT_ELEMENTS', elements)
        parts = [nearest_neighbours(train, part, 20) for part in test.split(7)]
        for one, joined in zip(whole, map(torch.cat, zip(*parts, strict=True)), strict=True):
            assert torch.equal(one, joined)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_a_bank_of_16_bits_is_not_rounded_any_further(features, dtype):
    train, test = (part.to(dtype) for part in features)
    similarity, index = nearest_neighbours(train, test, 20)
    wide, order = nearest_neighbours(train.float(), test.float(), 20)
    assert torch.equal(similarity, wide)
    assert torch.equal(index, order)
    labels = torch.arange(300) % 7
    predictions = knn_predict(train, labels, test, (5,))
    assert torch.equal(predictions[5], knn_predict(train.float(), labels, test.float(), (5,))[5])


def test_collapsed_features_rank_by_index():
    train, test = torch.full((5000, 16), 0.3), torch.full((3, 16), 0.7)
    assert nearest_neighbours(train, test, 10)[1].tolist() == [list(range(10))] * 3
    labels = torch.arange(5000) // 5000
    assert knn_accuracy(train, labels, test, torch.zeros(3), k=(10,)) == {10: 100.0}


@pytest.mark.parametrize('shape', [(1_281_167, 1024), (1_281_167, 384), (50_000, 2048), (200, 64)])
@pytest.mark.parametrize('k', [1, 200])
def test_memory_does_not_depend_on_the_size_of_the_bank(shape, k):
    train = torch.empty(shape, device='meta')
    rows = rows_at_once(train, k)
    assert rows >= 100
    columns = min(len(train), neighbours.CHUNK_ELEMENTS // train.shape[1])
    floats = columns * train.shape[1]  # normalised training features
    floats += rows * columns * 4  # similarities, and a stable sort of them where they are tied
    floats += rows * (train.shape[1] + 6 * 2 * (k + neighbours.MARGIN))  # candidates, sorted
    assert 4 * floats < 0.25 * 2**30
