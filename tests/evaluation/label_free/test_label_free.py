"""Measures without labels against their definitions, written out with singular values."""

import numpy as np
import pytest
import torch

from poa_mm.evaluation import alpha_req, lidar, rankme


def entropy_rank(values):
    shares = values / values.sum() + 1e-7
    return float(torch.exp(-(shares * shares.log()).sum()))


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize('shape', [(200, 24), (20, 64)])
def test_rankme_is_the_effective_rank_of_the_singular_values(shape):
    features = noise(*shape) * torch.linspace(0.01, 2, shape[1])
    assert rankme(features) == pytest.approx(entropy_rank(torch.linalg.svdvals(features)), rel=1e-5)
    assert rankme(features.float()) == pytest.approx(rankme(features), rel=1e-4)
    assert rankme(5 * features) == pytest.approx(rankme(features))


def test_rankme_sees_a_collapse():
    features = noise(300, 32)
    collapsed = features[:, :1] @ noise(1, 32, seed=1) + 1e-6 * features
    assert rankme(collapsed) < 1.01 < 25 < rankme(features) < 32


def test_lidar_is_the_effective_rank_of_the_whitened_covariance():
    images, views, width = 40, 6, 12
    features = noise(images, 1, width) + 0.3 * noise(images, views, width, seed=1)
    means = features.mean(dim=1)
    centred = means - means.mean(dim=0)
    between = centred.T @ centred / (images - 1)
    inner = (features - means[:, None]).reshape(-1, width)
    within = inner.T @ inner / (images * (views - 1)) + 1e-4 * torch.eye(width)
    values, vectors = torch.linalg.eigh(within)
    root = vectors @ torch.diag(values**-0.5) @ vectors.T
    expected = entropy_rank(torch.linalg.svdvals(root @ between @ root))
    assert lidar(features) == pytest.approx(expected, rel=1e-6)


def test_lidar_does_not_count_what_views_of_one_image_differ_in():
    signal = torch.cat((noise(60, 1, 4), torch.zeros(60, 1, 28)), dim=2)
    nuisance = torch.cat((torch.zeros(60, 10, 4), noise(60, 10, 28, seed=1)), dim=2)
    features = signal + nuisance
    assert lidar(features) < 8
    assert rankme(features.flatten(0, 1)) > 20


@pytest.mark.parametrize('alpha', [0.5, 1.0, 2.0])
def test_alpha_is_the_exponent_of_the_eigenvalues(alpha):
    centred = noise(150, 60)
    basis = torch.linalg.qr(centred - centred.mean(dim=0)).Q
    features = basis * torch.arange(1, 61).double() ** (-alpha / 2)
    assert alpha_req(features + 3) == pytest.approx(alpha, abs=1e-6)
    assert alpha_req(features, fit_range=(1, 20)) == pytest.approx(alpha, abs=1e-6)


def test_alpha_is_a_weighted_least_squares_fit():
    features = noise(200, 50) * torch.linspace(0.1, 3, 50)
    values = np.linalg.eigvalsh(np.cov(features.numpy().T))[::-1]
    ranks = np.arange(4, 51)
    slope, _ = np.polyfit(np.log(ranks), np.log(values[3:]), 1, w=ranks**-0.5)  # of residuals
    assert alpha_req(features) == pytest.approx(-slope)


def test_bad_features_are_refused():
    for measure in (rankme, alpha_req):
        with pytest.raises(ValueError, match=r'shape \(N, D\), got \(3,\)'):
            measure(torch.ones(3))
        with pytest.raises(ValueError, match='NaN or infinity'):
            measure(torch.full((3, 3), torch.nan))
    with pytest.raises(ValueError, match='all features are zero'):
        rankme(torch.zeros(3, 3))
    with pytest.raises(ValueError, match='1 positive eigenvalues are too few'):
        alpha_req(torch.arange(10.0)[:, None].expand(10, 8))
    with pytest.raises(ValueError, match=r'two views or more, got \(5, 1, 8\)'):
        lidar(torch.ones(5, 1, 8))
