"""Robustness of a whole supernet, against its networks one by one."""

from types import SimpleNamespace

import pytest
from tiny.in9 import background_classes, brightness_classes, make_in9

from poa_mm.evaluation import FeatureReader, LabelledData, MeasuredSupernet, knn_accuracy
from poa_mm.evaluation.robustness.classifiers import knn_classifiers
from poa_mm.evaluation.robustness.curves import corruptions, robustness_accuracies
from poa_mm.evaluation.robustness.in9_run import in9_results, in9_rows
from poa_mm.evaluation.robustness.run import (
    Prediction,
    curves,
    normalised_batches,
    robustness_results,
    robustness_rows,
    robustness_table,
)

LISTED = [one for one in corruptions((16, 16), (4, 4)) if one.level in ('0%', '90%', '4x4')]


@pytest.fixture(scope='module')
def measured(backbone):
    return MeasuredSupernet(backbone, backbone.subnets[:2], source='run/a.pth', source_sha256='a')


@pytest.fixture(scope='module')
def reader(cfg):
    return FeatureReader(LabelledData.from_config(cfg), batch_size=32, progress=False)


@pytest.fixture(scope='module')
def rows(measured, reader):
    predict = Prediction(measured, knn_classifiers(reader, measured, k=5))
    batches = normalised_batches(reader.loaders['test'], reader.preprocessor)
    found = robustness_accuracies(batches, LISTED, predict)
    return list(robustness_rows(found, measured.networks))


def test_clean_images_have_the_accuracy_of_knn(rows, measured, reader):
    clean = {row.subnet: row.accuracy for row in rows if row.what.level == '0%'}
    for one in reader.read(measured):
        train, test = one.train, one.test
        parts = (train.features['cls'], train.labels, test.features['cls'], test.labels)
        assert clean[one.network.name] == pytest.approx(knn_accuracy(*parts, [5])[5])


def test_the_curves_and_results_hold_all_levels(rows, measured, reader):
    name = measured.networks[1].name
    expected = {row.what.level: row.accuracy for row in rows if row.subnet == name}
    assert curves(rows, 'occlusion')[name] == {0: expected['0%'], 90: expected['90%']}
    assert curves(rows, 'shuffle')[name] == {1: expected['0%'], 16: expected['4x4']}
    found = list(robustness_results(rows, measured, reader, {'repeats': 1}))
    assert [(one.protocol, one.settings['level']) for one in found[:3]] == [
        ('occlusion', '0%'),
        ('occlusion', '90%'),
        ('shuffle', '4x4'),
    ]
    assert found[0].value == rows[0].accuracy
    assert robustness_table(rows, 'title').row_count == 2


def nine(classes=9):
    """What is asked of networks and a reader, for images of 8 × 8 with values from 0 to 1."""
    networks = [SimpleNamespace(name=n, known_as='', subnet=None, params=1) for n in 'fb']
    measured = SimpleNamespace(
        networks=networks,
        preprocessing=SimpleNamespace(image_size=(8, 8)),
        source='a.pth',
        source_sha256='a',
    )
    data = SimpleNamespace(
        train=SimpleNamespace(metainfo={'classes': range(classes)}), name='mine', both_sha256='c'
    )
    reader = SimpleNamespace(data=data, preprocessor=lambda batch: batch)

    def predict(images, chosen=None):
        for network in chosen or networks:
            kind = brightness_classes if network.name == 'f' else background_classes
            yield network.name, kind(images / 255).clamp(0, 8)

    return measured, reader, predict


def test_in9_tells_who_looks_at_the_background(tmp_path):
    folder = make_in9(tmp_path)
    measured, reader, predict = nine()
    first, second = in9_rows(folder, measured, reader, predict, batch_size=4, challenge=True)
    assert first.accuracies == {
        'mixed_rand': 100,
        'only_bg_t': 100,
        'original': 100,
        'challenge': 100,
    }
    assert second.accuracies['original'] == 100
    assert second.accuracies['mixed_rand'] == pytest.approx(100 / 9)
    assert second.accuracies['challenge'] == 0
    found = list(in9_results([first], measured, reader, {'k': 20}))
    assert {one.data for one in found} == {'imagenet-9'}
    assert [one.metric for one in found] == ['top1', 'top1', 'top1', 'challenge']


def test_classes_that_do_not_fit_are_named(tmp_path):
    folder = make_in9(tmp_path)
    measured, reader, predict = nine(classes=50)
    with pytest.raises(ValueError, match='the classifier knows 50 classes: give in_to_in9'):
        next(in9_rows(folder, measured, reader, predict))
    with pytest.raises(ValueError, match="is for ImageNet's 1000 classes, the classifier knows 50"):
        next(in9_rows(folder, measured, reader, predict, mapping=tmp_path / 'in_to_in9.json'))
