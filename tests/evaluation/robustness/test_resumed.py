"""Robustness with baselines after a kill and in two processes, against a run at one go."""

import shutil

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS
from ranks import run_distributed

from poa_mm.evaluation import (
    FeatureReader,
    LabelledData,
    MeasuredSupernet,
    knn_accuracy,
)
from poa_mm.evaluation.baselines import pixel_features, untrained_networks
from poa_mm.evaluation.features import prepared
from poa_mm.evaluation.robustness.baselines import PredictionBesideBaselines, raw_pixels_of
from poa_mm.evaluation.robustness.classifiers import knn_classifiers
from poa_mm.evaluation.robustness.curves import Drawing, corruptions
from poa_mm.evaluation.robustness.resumed import BatchJournals, resumed_accuracies
from poa_mm.evaluation.robustness.run import Prediction

LISTED = [one for one in corruptions((16, 16), (4, 4)) if one.level in ('0%', '50%', '4x4')]
ABOUT = {'seed': 0}
BATCH_SIZE = 9


def opened(cfg, backbone):
    measured = MeasuredSupernet(backbone, backbone.subnets[:1])
    data = LabelledData.from_config(cfg)
    return measured, FeatureReader(data, BATCH_SIZE, shared=True, progress=False)


def resumed(cfg, backbone, journals):
    """Accuracies by level and name, as plain data."""
    measured, reader = opened(cfg, backbone)
    predict = Prediction(measured, knn_classifiers(reader, measured, 5))
    beside = PredictionBesideBaselines(predict, reader, 5)
    found = resumed_accuracies(
        reader, LISTED, beside, journals, Drawing(), 1, lambda batches, total: batches
    )
    return {what.level: by_name for what, by_name in found.items()}


def on_ranks(rank, cfg, backbone, path):
    return resumed(Config(cfg), backbone, BatchJournals(path, ABOUT))


class Dying(BatchJournals):
    def add(self, first, counts):
        super().add(first, counts)
        if len(self.done) == 2:
            raise KeyboardInterrupt


@pytest.fixture(scope='module')
def whole(cfg, backbone, tmp_path_factory):
    folder = tmp_path_factory.mktemp('whole')
    return resumed(cfg, backbone, BatchJournals(folder / 'a.jsonl', ABOUT))


def test_a_killed_run_and_processes_give_the_same_accuracies(cfg, backbone, whole, tmp_path):
    killed, shared = tmp_path / 'killed', tmp_path / 'shared'
    killed.mkdir()
    with pytest.raises(KeyboardInterrupt):
        resumed(cfg, backbone, Dying(killed / 'a.jsonl', ABOUT))
    with pytest.raises(ValueError, match=r'unfinished evaluation with another seed \(0, here 1\)'):
        BatchJournals(killed / 'a.jsonl', {'seed': 1})
    shutil.copytree(killed, shared)  # two processes go on with what one has left
    path = str(shared / 'a.jsonl')
    assert run_distributed(on_ranks, 2, cfg.to_dict(), backbone, path) == [whole, whole]
    assert (shared / 'a.1.jsonl').is_file()
    journals = BatchJournals(killed / 'a.jsonl', ABOUT)
    assert list(journals.done) == ['0', '9']
    assert resumed(cfg, backbone, journals) == whole
    journals.close()
    assert not list(killed.iterdir())


def test_clean_images_have_the_accuracy_of_baselines_by_knn(cfg, backbone, whole):
    measured, reader = opened(cfg, backbone)
    (name,) = (network.name for network in measured.networks)
    (random,) = reader.read(untrained_networks(measured))
    expected = {f'{name} untrained': (random.train, random.test)}
    for kind, splits in pixel_features(reader).items():
        expected[f'{kind}_pixels'] = (splits['train'], splits['test'])
    assert set(whole['0%']) == {name, *expected}
    for key, (train, test) in expected.items():
        parts = (train.features['cls'], train.labels, test.features['cls'], test.labels)
        assert whole['0%'][key] == (pytest.approx(knn_accuracy(*parts, [5])[5]),)


@pytest.mark.parametrize('to_rgb', [False, True])
def test_normalised_images_go_back_to_their_pixels(to_rgb):
    preprocessor = MODELS.build(
        {
            'type': 'mmpretrain.SelfSupDataPreprocessor',
            'mean': [123.675, 116.28, 103.53],
            'std': [58.395, 57.12, 57.375],
            'to_rgb': to_rgb,
        }
    )
    images = torch.randint(0, 256, (2, 3, 4, 4), dtype=torch.uint8)
    raw = raw_pixels_of(preprocessor)(prepared(images, preprocessor))
    torch.testing.assert_close(raw, images.float(), rtol=0, atol=1e-4)
