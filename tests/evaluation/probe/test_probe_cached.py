"""A probe of features: all heads in one pass, chosen by the rules, as good as scikit-learn."""

from dataclasses import replace

import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from poa_mm.errors import InputError
from poa_mm.evaluation.probe import settings as settings_module
from poa_mm.evaluation.probe.cached import LabelledFeatures, probe_features
from poa_mm.evaluation.probe.heads import HeadTrainer
from poa_mm.evaluation.probe.linear import held_out_rows
from poa_mm.evaluation.probe.logistic import probe_logistic
from poa_mm.evaluation.probe.settings import OFFICIAL, ProbeSettings
from poa_mm.evaluation.probe.sources import ProbeSources

SOURCES = ProbeSources(widths=(8, 64), mean=8)  # columns of pixels, all pixels, rows of pixels
SHORT = ProbeSettings(lrs=(0.1, 1.0), weight_decays=(0.0,), epochs=2, iterations=5)


@pytest.fixture(scope='module')
def digits():
    data = load_digits()
    images = torch.from_numpy(data.images).float() / 16
    features = torch.cat((images.mean(1), images.flatten(1), images.mean(2)), dim=1)
    labels = torch.from_numpy(data.target).long()
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    return tuple(LabelledFeatures(features[rows], labels[rows]) for rows in order.split(1200))


def test_the_default_grid_reaches_logistic_regression(digits):
    train, test = digits
    settings = ProbeSettings(sources=('last 1',))
    result = probe_features(train, test, SOURCES, 10, settings)
    assert len(result.heads) == 26
    assert result.chosen_on[result.chosen] == max(result.chosen_on)
    fitted = probe_logistic(train, test, SOURCES, 10, settings)  # on the same images
    assert result.top1 == pytest.approx(fitted.top1, abs=0.5)
    predicted = result.best.predict(test.features[:, SOURCES.columns['last 1']])
    assert 100 * (predicted == test.labels).double().mean().item() == pytest.approx(result.top1)


def test_images_of_the_choice_are_not_trained_on(digits, monkeypatch):
    train, test = digits
    seen = []
    step = HeadTrainer.step

    def spy(self, features, labels):
        seen.append(features)
        step(self, features, labels)

    monkeypatch.setattr(HeadTrainer, 'step', spy)
    settings = replace(SHORT, sources=('last 1',), epochs=1, iterations=None)
    monkeypatch.setattr(settings_module, 'MIN_ITERATIONS', 1)  # a pass
    for official in (False, True):
        seen.clear()
        used = replace(settings, choose_on_test=official)
        result = probe_features(train, test, SOURCES, 10, used, seed=4)
        kept = torch.arange(1200) if official else held_out_rows(1200, seed=4)[0]
        pixels = train.features[kept][:, SOURCES.columns['last 1']]
        drawn = torch.cat(seen)
        assert torch.equal(drawn.sum(dim=0).round(), pixels.sum(dim=0).round())
        assert len(drawn) == len(kept)
        assert (result.chosen_on == result.test) is official


def test_seeds_give_other_heads_and_the_same_seed_the_same(digits):
    one, same, other = (probe_features(*digits, SOURCES, 10, SHORT, seed=s) for s in (1, 1, 2))
    assert torch.equal(one.best.weight, same.best.weight)
    assert one.test == same.test != other.test


def test_steps_and_rates_are_those_of_the_settings():
    assert OFFICIAL.steps(1_281_167) == 12_500
    heads = OFFICIAL.heads(ProbeSources((384,) * 4, 384))
    assert len(heads) == 52
    assert min(head.lr for head in heads) == pytest.approx(8e-5)
    assert max(head.lr for head in heads) == pytest.approx(0.8)
    assert ProbeSettings(batch_size=100, epochs=3).steps(25_010) == 3 * 251
    assert ProbeSettings(batch_size=100, epochs=3).steps(250) == 3 * 100
    assert ProbeSettings(batch_size=100, epochs=3, iterations=7).steps(250) == 21
    heads = ProbeSettings().heads(ProbeSources((384,) * 4, 384))
    assert len(heads) == len(set(heads)) == 104
    with pytest.raises(ValueError, match="none of \\('last 4',\\)"):
        ProbeSettings(sources=('last 4',)).heads(ProbeSources((8,), 8))


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'lrs': ()}, 'lrs must be all different, one or more'),
        ({'lrs': (0.1, 0.1)}, 'lrs must be all different'),
        ({'lrs': (float('nan'),)}, 'learning rates must be positive'),
        ({'weight_decays': (-1.0,)}, 'weight decays must not be negative'),
        ({'sources': ('cls',)}, r"sources must be some of .*, got \['cls'\]"),
        ({'epochs': 0}, 'epochs must be positive, got 0'),
        ({'iterations': 0}, 'iterations must be positive, got 0'),
        ({'held_out': 1.0}, 'held_out must be a share between 0 and 1'),
    ],
)
def test_settings_out_of_range_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        ProbeSettings(**change)


def test_bad_features_are_refused_before_training(digits):
    train, test = digits

    def error(train=train, test=test, classes=10, kind=InputError):
        with pytest.raises(kind) as caught:
            probe_features(train, test, SOURCES, classes, SHORT)
        return str(caught.value)

    broken = train.features.clone()
    broken[3, 5] = torch.nan
    broken[7] = torch.inf
    said = error(LabelledFeatures(broken, train.labels))
    assert (
        'training features of 2 of 1200 images hold NaN or infinity, first those of image 3' in said
    )
    said = error(test=LabelledFeatures(broken, train.labels))
    assert said.startswith('the test features of 2')
    assert 'needs two classes or more, the images have 1' in error(classes=1)
    assert 'labels must be in [0, 4], got 0…9' in error(classes=5, kind=ValueError)
    said = error(LabelledFeatures(train.features[:, :9], train.labels), kind=ValueError)
    assert 'must have shapes (N, 80) and (N,), got (1200, 9) and (1200,)' in said
    with pytest.raises(InputError, match='all heads have diverged'):
        probe_features(train, test, SOURCES, 10, replace(SHORT, lrs=(2e38, 3e38)))


def test_logistic_regression_is_that_of_scikit_learn(digits):
    train, test = digits
    settings = ProbeSettings(sources=('last 1', 'last 4'))
    result = probe_logistic(train, test, SOURCES, 10, settings, strengths=(1, 1e-4))
    fits = [(head.source, head.c) for head in result.heads]
    assert fits == [(source, c) for source in settings.sources for c in (1e-4, 1)]
    assert result.chosen_on[result.chosen] == max(result.chosen_on)
    columns = SOURCES.columns[result.best.head.source]
    kept, _ = held_out_rows(1200)
    fit = train.rows(kept)
    model = LogisticRegression(max_iter=1000, C=result.best.head.c)
    model.fit(fit.features[:, columns], fit.labels)
    expected = 100 * model.score(test.features[:, columns], test.labels)
    assert result.top1 == pytest.approx(expected, abs=0.2)


def test_logistic_regression_of_few_classes(digits):
    train, _ = digits
    part = train.rows(torch.isin(train.labels, torch.tensor([3, 7])))
    result = probe_logistic(part, part, SOURCES, 10, ProbeSettings())
    columns = SOURCES.columns[result.best.head.source]
    assert result.top1 > 99
    assert set(result.best.predict(part.features[:, columns]).tolist()) == {3, 7}
    ones = part.rows(part.labels == 3)
    with pytest.raises(InputError, match='of two classes or more'):
        probe_logistic(ones, part, SOURCES, 10, ProbeSettings())
    broken = LabelledFeatures(part.features / 0, part.labels)
    with pytest.raises(InputError, match=r'test features of \d+ of \d+ images hold NaN'):
        probe_logistic(part, broken, SOURCES, 10, ProbeSettings())
    with pytest.raises(ValueError, match=r'C must be positive, got \(0,\)'):
        probe_logistic(part, part, SOURCES, 10, ProbeSettings(), strengths=(0,))
