"""Clustering scores against scikit-learn and against all assignments."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import cluster, metrics
from sklearn.datasets import load_digits

from poa_mm.evaluation import clustering_scores, hungarian_accuracy, kmeans_scores

SMALL = st.lists(st.tuples(st.integers(0, 3), st.integers(5, 8)), min_size=1, max_size=20)


@settings(deadline=None)
@given(pairs=SMALL)
def test_accuracy_is_that_of_the_best_of_all_assignments(pairs):
    found, true = (torch.tensor(column) for column in zip(*pairs, strict=True))
    best = max(
        sum(order[f] == t - 5 for f, t in pairs) for order in itertools.permutations(range(4))
    )
    assert hungarian_accuracy(found, true) == pytest.approx(100 * best / len(pairs))


def test_scores_equal_scikit_learn_s_on_digits():
    digits = load_digits()
    data, labels = digits.data.astype(np.float32)[:600], digits.target[:600]
    result = kmeans_scores(torch.from_numpy(data), torch.from_numpy(labels), repeats=2, seed=3)
    for number, run in enumerate(result.runs):
        found = cluster.KMeans(10, random_state=3 + number).fit_predict(data)
        expected = {
            'ari': metrics.adjusted_rand_score(labels, found),
            'nmi': metrics.normalized_mutual_info_score(labels, found),
            'fmi': metrics.fowlkes_mallows_score(labels, found),
        }
        assert {name: run[name] for name in expected} == pytest.approx(
            {name: 100 * value for name, value in expected.items()}
        )
        assert 60 < run['acc'] < 95
    accuracies = [run['acc'] for run in result.runs]
    assert result.means['acc'] == pytest.approx(np.mean(accuracies))
    assert result.stds['acc'] == pytest.approx(np.std(accuracies, ddof=1))


def test_the_seed_decides():
    features, labels = torch.randn(90, 4), torch.arange(90) % 3
    assert kmeans_scores(features, labels, seed=1) == kmeans_scores(features, labels, seed=1)
    assert kmeans_scores(features, labels).stds == dict.fromkeys(('acc', 'ari', 'nmi', 'fmi'), 0.0)


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match='same shape'):
        clustering_scores(torch.zeros(3), torch.zeros(4))
    with pytest.raises(ValueError, match=r'shapes \(N, D\) and \(N,\)'):
        kmeans_scores(torch.zeros(3, 2), torch.zeros(4))
    with pytest.raises(ValueError, match=r'in \[1, 3\] and repeats positive, got 4 and 1'):
        kmeans_scores(torch.zeros(3, 2), torch.arange(3), num_clusters=4)
    with pytest.raises(ValueError, match='NaN or infinity'):
        kmeans_scores(torch.full((3, 2), torch.inf), torch.arange(3))
