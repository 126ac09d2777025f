"""k-NN against a plain Python loop in float64 and against scikit-learn."""

import math
from collections import defaultdict

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.neighbors import KNeighborsClassifier

from poa_mm.evaluation.knn.votes import knn_accuracy, knn_predict
from poa_mm.tables import headline_k


@pytest.fixture
def clusters():
    """Five overlapping classes in 16 dimensions: features and labels of 120 + 40 samples."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(160) % 5
    centres = torch.randn(5, 16, generator=generator)
    features = centres[labels] + 1.5 * torch.randn(160, 16, generator=generator)
    return features[:120], labels[:120], features[120:], labels[120:]


def loop_predict(train, train_labels, test, k, temperature):
    """The protocol written out: float64, one test image and one neighbour at a time."""
    train, test = train.double().numpy(), test.double().numpy()
    train = train / np.linalg.norm(train, axis=1, keepdims=True)
    predictions = []
    for feature in test:
        similarity = train @ (feature / np.linalg.norm(feature))
        neighbours = sorted(range(len(train)), key=lambda i: (-similarity[i], i))[:k]
        votes = defaultdict(float)
        for i in neighbours:
            votes[int(train_labels[i])] += math.exp(similarity[i] / temperature)
        predictions.append(max(votes, key=lambda label: votes[label]))
    return predictions


@pytest.mark.parametrize('temperature', [0.03, 0.07, 1.0])
def test_predictions_equal_a_plain_loop(clusters, temperature):
    train, train_labels, test, _ = clusters
    predictions = knn_predict(train, train_labels, test, (1, 5, 20, 120), temperature)
    assert list(predictions) == [1, 5, 20, 120]
    for k, predicted in predictions.items():
        assert predicted.tolist() == loop_predict(train, train_labels, test, k, temperature)
    assert len({tuple(p.tolist()) for p in predictions.values()}) > 1, 'k must matter here'


@pytest.mark.parametrize('temperature', [0.07, 0.5])
def test_predictions_equal_scikit_learn_on_digits(temperature):
    digits = load_digits()
    order = np.random.default_rng(0).permutation(len(digits.data))
    data, target = digits.data[order].astype(np.float32), digits.target[order]
    ours = knn_predict(
        torch.from_numpy(data[:1200]),
        torch.from_numpy(target[:1200]),
        torch.from_numpy(data[1200:]),
        (10, 200),
        temperature,
    )
    for k, predicted in ours.items():
        theirs = KNeighborsClassifier(
            k,
            metric='cosine',
            algorithm='brute',
            weights=lambda distance: np.exp((1 - distance) / temperature),
        ).fit(data[:1200].astype(float), target[:1200])
        np.testing.assert_array_equal(predicted.numpy(), theirs.predict(data[1200:].astype(float)))


def test_accuracy_is_the_share_of_right_predictions_in_percent(clusters):
    train, train_labels, test, test_labels = clusters
    predicted = loop_predict(train, train_labels, test, 20, 0.07)
    right = sum(p == t for p, t in zip(predicted, test_labels.tolist(), strict=True))
    accuracy = knn_accuracy(train, train_labels, test, test_labels, k=(20,))
    assert accuracy == {20: pytest.approx(100 * right / 40)}
    assert 20 < accuracy[20] < 100


def test_macro_accuracy_weighs_classes_alike(clusters):
    train, train_labels, test, test_labels = clusters
    skewed = torch.cat((test, test[test_labels == 2], test[test_labels == 2]))
    labels = torch.cat((test_labels, *2 * [test_labels[test_labels == 2]]))
    micro = knn_accuracy(train, train_labels, test, test_labels, (20,))[20]
    macro = knn_accuracy(train, train_labels, skewed, labels, (20,), average='macro')[20]
    assert macro == pytest.approx(micro)  # where classes have as many images each
    assert knn_accuracy(train, train_labels, skewed, labels, (20,))[20] != pytest.approx(micro)
    with pytest.raises(ValueError, match=r"average must be one of .*, got 'mean'"):
        knn_accuracy(train, train_labels, test, test_labels, (20,), average='mean')


def test_chunks_and_feature_norms_do_not_matter(clusters):
    train, train_labels, test, _ = clusters
    whole = knn_predict(train, train_labels, test, (5, 20))
    scaled = torch.linspace(0.1, 50, len(train))[:, None] * train
    for chunk_size in (1, 7, 1000):
        chunked = knn_predict(scaled, train_labels, 3 * test, (5, 20), chunk_size=chunk_size)
        assert all(torch.equal(chunked[k], whole[k]) for k in whole)


def test_small_temperature_leaves_the_vote_to_the_nearest(clusters):
    train, train_labels, test, _ = clusters
    predictions = knn_predict(train, train_labels, test, (1, 100), temperature=1e-4)
    assert torch.equal(predictions[1], predictions[100])


def test_large_temperature_is_a_majority_vote():
    train = torch.tensor([[1.0, 0.0], [0.9, 0.5], [0.8, 0.6], [0.0, 1.0]])
    labels = torch.tensor([7, 3, 3, 7])
    test = torch.tensor([[1.0, 0.0]])
    assert knn_predict(train, labels, test, (1, 3), temperature=1e6)[1].tolist() == [7]
    assert knn_predict(train, labels, test, (1, 3), temperature=1e6)[3].tolist() == [3]


def test_of_equally_similar_images_the_first_ones_vote():
    # 50 copies of one direction: only the index tells them apart, for every chunk and k.
    train = torch.ones(50, 8)
    labels = torch.arange(50) % 7 + 10
    predictions = knn_predict(train, labels, torch.ones(3, 8), (1, 2, 8, 9, 50))
    assert predictions[1].tolist() == [10] * 3
    # Two classes with a vote each: the nearest neighbour's class wins.
    assert predictions[2].tolist() == [10] * 3
    # The eighth image has label 10 again: two votes of eight.
    assert predictions[8].tolist() == [10] * 3
    assert predictions[9].tolist() == [10] * 3


def test_ties_at_the_last_neighbour_take_the_lower_index():
    # Images 1, 2 and 3 are equally similar and only one of them is among the two nearest.
    train = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0], [0.0, -1.0]])
    labels = torch.tensor([5, 4, 4, 4])
    test = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    predictions = knn_predict(train, labels, test, (2, 4), temperature=1e6)
    assert predictions[2].tolist() == [5, 4]
    assert predictions[4].tolist() == [4, 4]


@pytest.mark.parametrize(('ks', 'expected'), [((10, 20, 100), 20), ((5,), 5), ((10, 100), 10)])
def test_headline_is_20_or_the_nearest(ks, expected):
    assert headline_k(ks) == expected


def test_bad_input_is_refused(clusters):
    train, train_labels, test, test_labels = clusters
    with pytest.raises(ValueError, match='k = 200 neighbours asked of 120 training images'):
        knn_predict(train, train_labels, test, (10, 200))
    with pytest.raises(ValueError, match='k = 0'):
        knn_predict(train, train_labels, test, (0,))
    with pytest.raises(ValueError, match='k is empty'):
        knn_predict(train, train_labels, test, ())
    with pytest.raises(ValueError, match=r'temperature must be > 0, got 0'):
        knn_predict(train, train_labels, test, (5,), temperature=0)
    with pytest.raises(ValueError, match=r'\(120, 16\) and \(40, 15\)'):
        knn_predict(train, train_labels, test[:, 1:], (5,))
    with pytest.raises(ValueError, match=r'test_features has no rows'):
        knn_predict(train, train_labels, test[:0], (5,))
    with pytest.raises(ValueError, match=r'train_labels must have shape \(120,\), got \(119,\)'):
        knn_predict(train, train_labels[1:], test, (5,))
    with pytest.raises(ValueError, match=r'test_labels must have shape \(40,\), got \(39,\)'):
        knn_accuracy(train, train_labels, test, test_labels[1:], (5,))
    broken = test.clone()
    broken[3, 2] = float('nan')
    with pytest.raises(ValueError, match='test_features holds NaN or infinity in 1 of 40 rows'):
        knn_predict(train, train_labels, broken, (5,))
