"""Draws of a few images per class, and accuracy per image and per class."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, balanced_accuracy_score

from poa_mm.evaluation import few_shot_rows, macro_accuracy, micro_accuracy

LABELS = st.lists(st.integers(-2, 9), min_size=1, max_size=80).map(torch.tensor)


@settings(deadline=None)
@given(labels=LABELS, per_class=st.integers(1, 3), draw=st.integers(0, 5))
def test_every_draw_has_so_many_rows_of_each_class(labels, per_class, draw):
    counts = labels.unique(return_counts=True)[1]
    if (counts < per_class).any():
        with pytest.raises(ValueError, match=f'fewer than the {per_class} asked for'):
            few_shot_rows(labels, per_class, draw)
        return
    rows = few_shot_rows(labels, per_class, draw)
    assert rows.unique().tolist() == rows.tolist()
    assert (labels[rows].unique(return_counts=True)[1] == per_class).all()
    assert len(labels[rows].unique()) == len(counts)
    if per_class > 1:
        assert set(few_shot_rows(labels, 1, draw).tolist()) <= set(rows.tolist())


def test_draws_differ_and_repeat():
    labels = torch.arange(600) % 3
    draws = {tuple(few_shot_rows(labels, 5, draw).tolist()) for draw in range(4)}
    assert len(draws) == 4
    torch.manual_seed(123)
    assert tuple(few_shot_rows(labels, 5, 2).tolist()) in draws


@settings(deadline=None)
@given(labels=LABELS, seed=st.integers(0, 9))
def test_accuracies_equal_scikit_learn_s(labels, seed):
    generator = torch.Generator().manual_seed(seed)
    wrong = torch.rand(len(labels), generator=generator) < 0.4
    predicted = torch.where(wrong, labels.roll(1), labels)
    true, guess = labels.numpy(), predicted.numpy()
    assert micro_accuracy(predicted, labels) == pytest.approx(100 * accuracy_score(true, guess))
    expected = 100 * balanced_accuracy_score(true, guess)
    assert macro_accuracy(predicted, labels) == pytest.approx(expected)


def test_shapes_that_do_not_fit_are_refused():
    for measure in (micro_accuracy, macro_accuracy):
        with pytest.raises(ValueError, match='same shape'):
            measure(torch.zeros(3), torch.zeros(4))
        with pytest.raises(ValueError, match='M > 0'):
            measure(torch.zeros(0), torch.zeros(0))
    with pytest.raises(ValueError, match='got 0, 0'):
        few_shot_rows(torch.zeros(3), 0)
