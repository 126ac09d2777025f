"""Whether measures without labels choose as labels would."""

import pytest
import torch
from scipy.stats import spearmanr

from poa_mm.evaluation.label_free.grid import agreement, measure
from poa_mm.evaluation.views import augmented_views

VALUES = {'a': 4.0, 'b': 3.0, 'c': 2.0, 'd': 8.0, 'e': 1.0}
ACCURACIES = {'a': 50.0, 'b': 40.0, 'c': 45.0, 'd': 20.0, 'e': 10.0}
WIDTHS = {'a': 1, 'b': 1, 'c': 1, 'd': 2, 'e': 2}


def test_the_correlation_is_that_of_scipy():
    found = agreement('rankme', VALUES, ACCURACIES, WIDTHS)
    expected = spearmanr(list(VALUES.values()), list(ACCURACIES.values())).statistic
    assert found.spearman == pytest.approx(expected)
    assert found.within == pytest.approx(0.5)  # of width 1 alone: width 2 has two networks
    assert (found.chosen, found.accuracy, found.best, found.regret) == ('d', 20, 50, 30)


def test_alpha_req_is_best_near_one():
    found = agreement('alpha_req', {'a': 1.1, 'b': 0.2, 'c': 1.5}, {'a': 9, 'b': 1, 'c': 5})
    assert (found.spearman, found.chosen, found.within) == (1.0, 'a', None)


def test_without_order_there_is_no_correlation():
    assert agreement('lidar', {'a': 1, 'b': 2}, {'a': 5, 'b': 6}).spearman is None
    assert agreement('lidar', dict.fromkeys('abc', 1.0), ACCURACIES).spearman is None
    with pytest.raises(ValueError, match='no network has both lidar and an accuracy'):
        agreement('lidar', {'x': 1.0}, ACCURACIES)


def test_all_measures_of_a_network():
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(200, 1, 32, generator=generator)
    views = features + 0.1 * torch.randn(200, 4, 32, generator=generator)
    found = measure(features[:, 0], views)
    assert 25 < found['rankme'] < 32
    assert 25 < found['lidar'] < 32
    assert 0 < found['alpha_req'] < 1


def test_views_follow_from_the_number_of_the_image():
    images = torch.rand(5, 3, 20, 24, generator=torch.Generator().manual_seed(0))
    views = augmented_views(images, 0, 3)
    assert views.shape == (5, 3, 3, 20, 24)
    parts = [augmented_views(images[:2], 0, 3), augmented_views(images[2:], 2, 3)]
    assert torch.equal(torch.cat(parts), views)
    assert not torch.equal(augmented_views(images, 0, 3, seed=1), views)
    assert len({view.sum().item() for view in views.flatten(0, 1)}) == 15
    flat = augmented_views(torch.full((1, 3, 16, 16), 0.5), 0, 8)
    assert torch.allclose(flat, torch.tensor(0.5), atol=1e-6)
