"""The evaluator on real patches, and what it refuses."""

import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image

from poa_mm.elastic import Subnet
from poa_mm.evaluation import KnnEvaluator, MeasuredSupernet, extract_features, knn_accuracy


def test_neighbours_default_to_those_that_fit(cfg, evaluator):
    assert evaluator.k == (10, 20), 'the 60 training images do not suffice for 100 and 200'
    assert KnnEvaluator.from_config(cfg, k=(5, 60)).k == (5, 60)


@pytest.mark.parametrize('memory', [1e-9, 1.0])
def test_accuracies_do_not_depend_on_the_passes(cfg, backbone, evaluator, memory):
    passes = []
    limited = KnnEvaluator.from_config(cfg, max_memory=memory, progress=False)
    computed = limited.reader._computed
    limited.reader._computed = lambda *args: (passes.append(len(args[1])), computed(*args))[1]
    results = dict(limited.evaluate(backbone, list(backbone.space), ('cls', 'mean')))
    assert passes == ([1] * 6 if memory < 1e-6 else [6])
    assert list(results) == list(backbone.space)
    subnet = Subnet(48, 3)
    train, train_labels = extract_features(
        backbone, evaluator.train_loader, [subnet], evaluator.preprocessor, ('cls', 'mean')
    )
    test, test_labels = extract_features(
        backbone, evaluator.test_loader, [subnet], evaluator.preprocessor, ('cls', 'mean')
    )
    for kind in ('cls', 'mean'):
        assert results[subnet][kind] == knn_accuracy(
            train[subnet][kind], train_labels, test[subnet][kind], test_labels, (10, 20)
        )


def test_memory_counts_images_and_kinds(cfg, backbone):
    # 60 + 40 images x 64 channels x 4 bytes x 2 kinds = 51,200 bytes a sub-network.
    reader = KnnEvaluator.from_config(cfg, max_memory=3.5 * 51200 / 2**30).reader
    measured = MeasuredSupernet(backbone)
    assert reader.networks_per_pass(measured, measured.networks, ('cls', 'mean')) == 3
    assert reader.networks_per_pass(measured, measured.networks, ('cls',)) == 7


def test_bad_settings_are_refused(cfg):
    with pytest.raises(ValueError, match=r'k must be in \[1, 60\].* got \(10, 61\)'):
        KnnEvaluator.from_config(cfg, k=(10, 61))
    with pytest.raises(ValueError, match=r'got \(\)'):
        KnnEvaluator.from_config(cfg, k=())
    with pytest.raises(ValueError, match='temperature must be > 0, got -1'):
        KnnEvaluator.from_config(cfg, temperature=-1)
    incomplete = Config({'knn_train_dataset': cfg.knn_train_dataset})
    with pytest.raises(ValueError, match='no knn_test_dataset and no data_preprocessor'):
        KnnEvaluator.from_config(incomplete)


def test_different_classes_are_refused(cfg, tmp_path):
    for name in ('train/cat', 'train/dog', 'val/cat', 'val/owl'):
        (tmp_path / name).mkdir(parents=True)
        Image.fromarray(np.zeros((16, 16, 3), np.uint8)).save(tmp_path / name / '0.png')
    folders = {
        f'knn_{key}_dataset': {
            'type': 'ImageFolder',
            'data_root': str(tmp_path / folder),
            'with_label': True,
            'test_mode': True,
            'pipeline': cfg.knn_train_dataset.pipeline,
        }
        for key, folder in (('train', 'train'), ('test', 'val'))
    }
    folders['data_preprocessor'] = cfg.data_preprocessor
    with pytest.raises(ValueError, match=r"different classes: \['dog', 'owl'\]"):
        KnnEvaluator.from_config(Config(folders))


def test_a_single_class_is_refused(cfg, tmp_path):
    """Every neighbour would be right."""
    (tmp_path / 'only').mkdir()
    Image.fromarray(np.zeros((16, 16, 3), np.uint8)).save(tmp_path / 'only' / '0.png')
    folder = {
        'type': 'ImageFolder',
        'data_root': str(tmp_path),
        'with_label': True,
        'test_mode': True,
        'pipeline': cfg.knn_train_dataset.pipeline,
    }
    settings = {f'knn_{key}_dataset': folder for key in ('train', 'test')}
    settings['data_preprocessor'] = cfg.data_preprocessor
    with pytest.raises(ValueError, match=r"two classes or more, the images have \('only',\)"):
        KnnEvaluator.from_config(Config(settings))
