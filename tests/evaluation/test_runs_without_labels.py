"""Clustering, robustness and measures without labels of a whole supernet, against one by one."""

import pytest
import torch
from mmengine.config import Config
from ranks import run_distributed
from tiny.networks import TINY_BACKBONE, randomise

from poa_mm.evaluation import (
    FeatureReader,
    Journal,
    LabelledData,
    MeasuredSupernet,
    Result,
    append_results,
    kmeans_scores,
    knn_accuracy,
    lidar,
    rankme,
    read_results,
)
from poa_mm.evaluation.clustering_run import Clusters, clustering_results, clustering_rows
from poa_mm.evaluation.label_free.report import agreements, label_free_results
from poa_mm.evaluation.label_free.run import Views, known_accuracies, label_free_rows
from poa_mm.evaluation.views import augmented_views
from poa_mm.registry import ELASTIC_BACKBONES
from poa_mm.tables import save_csv


def patches(split, count):
    return {
        'type': 'PhotoPatches',
        'split': split,
        'patch_size': 16,
        'patches_per_photo': count,
        'test_mode': True,
        'pipeline': [{'type': 'NumpyToPIL', 'to_rgb': True}, {'type': 'PackInputs'}],
    }


def open_data():
    normalise = {'type': 'SelfSupDataPreprocessor', 'mean': [120.0] * 3, 'std': [58.0] * 3}
    return LabelledData.from_config(
        Config(
            {
                'knn_train_dataset': patches('train', 3),
                'knn_test_dataset': patches('test', 2),
                'data_preprocessor': normalise,
            }
        )
    )


def open_networks():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = randomise(ELASTIC_BACKBONES.build(TINY_BACKBONE)).eval()
    return MeasuredSupernet(net, net.subnets[:2], source='run/a.pth', source_sha256='a')


@pytest.fixture(scope='module')
def data():
    return open_data()


@pytest.fixture(scope='module')
def measured():
    return open_networks()


@pytest.fixture(scope='module')
def reader(data):
    return FeatureReader(data, batch_size=16, progress=False)


@pytest.fixture(scope='module')
def features(reader, measured):
    return {one.network.name: one for one in reader.read(measured)}


def test_clusters_are_those_of_each_network(reader, measured, features):
    clusters = Clusters(count=4, repeats=2, seed=3)
    rows = list(clustering_rows(reader, measured, clusters))
    assert [row.subnet for row in rows] == list(features)
    for row in rows:
        test = features[row.subnet].test
        expected = kmeans_scores(test.features['cls'], test.labels, 4, repeats=2, seed=3)
        assert row.runs == expected.runs
        assert row.accuracy == expected.means['acc']
    found = list(clustering_results(rows, measured, reader, clusters, {}))
    assert {one.metric for one in found} >= {'acc', 'ari', 'nmi', 'fmi', 'acc_std'}
    assert found[0].settings['clusters'] == 4


def test_clusters_need_no_training_images(data, measured, features):
    reader = FeatureReader(data, batch_size=16, progress=False, splits=['test'])
    (row, _) = clustering_rows(reader, measured, Clusters(count=3))
    test = features[row.subnet].test
    assert row.runs == kmeans_scores(test.features['cls'], test.labels, 3).runs
    one = next(reader.read(measured))
    assert len(one.gathered().train.rows) == 0


def test_killed_clustering_goes_on(tmp_path, reader, measured):
    path, about = tmp_path / 'unfinished.jsonl', {'seed': 0}
    rows = clustering_rows(reader, measured, Clusters(count=3), Journal(path, about))
    first = next(rows)
    rows.close()
    journal = Journal(path, about)
    assert list(journal.done) == [first.subnet]
    resumed = list(clustering_rows(reader, measured, Clusters(count=3), journal))
    assert resumed[0] == first
    _, second = clustering_rows(reader, measured, Clusters(count=3))
    assert (resumed[1].subnet, resumed[1].runs) == (second.subnet, second.runs)


def test_measures_are_those_of_each_network(reader, measured, features, data):
    views = Views(images=6, number=3)
    rows = list(label_free_rows(reader, measured, views, k=5))
    total = len(data.train)
    images = torch.stack([data.train[n * total // 6]['inputs'] for n in range(6)])
    inputs = reader.preprocessor({'inputs': images, 'data_samples': None})['inputs']
    cut = augmented_views(inputs, 0, 3).flatten(0, 1)
    of_views = {network.name: tokens.cls for network, tokens in measured.tokens(cut)}
    for row in rows:
        one = features[row.subnet]
        train, test = one.train.features['cls'], one.test.features['cls']
        assert row.measures['rankme'] == pytest.approx(rankme(train))
        expected = lidar(of_views[row.subnet].unflatten(0, (6, 3)))
        assert row.measures['lidar'] == pytest.approx(expected, rel=1e-3)
        assert row.knn == knn_accuracy(train, one.train.labels, test, one.test.labels, [5])[5]
    found = list(label_free_results(rows, measured, reader, views, {}))
    assert [one.metric for one in found[:3]] == ['rankme', 'lidar', 'alpha_req']
    assert found[1].settings == {'images': 6, 'views': 3, 'seed': 0}


def test_accuracies_are_read_from_results(tmp_path, measured, reader):
    path = tmp_path / 'results.jsonl'
    about = {'protocol': 'knn', 'metric': 'top1', 'source_sha256': 'a'}
    name = measured.networks[0].name
    values = {10: 1.0, 20: 2.0, 100: 3.0}
    append_results(
        path, [Result(value=v, network=name, settings={'k': k}, **about) for k, v in values.items()]
    )
    of_patches = {'k': 20, 'feature': 'mean'}  # another feature than that of the measures
    append_results(path, [Result(value=9.0, network=name, settings=of_patches, **about)])
    known = known_accuracies(read_results(path), measured)
    assert known == {name: 2.0}
    rows = list(label_free_rows(reader, measured, Views(4, 2), accuracies=known))
    assert [row.knn for row in rows] == [2.0, None]
    found = agreements(rows)
    assert {one.chosen for one in found} == {name}
    table = tmp_path / 'agreement.csv'
    save_csv(iter(found), table)
    assert table.read_text().startswith('measure,spearman,within,chosen')
    other = MeasuredSupernet(measured.backbone, source='b.pth', source_sha256='b')
    with pytest.raises(ValueError, match=r'no k-NN accuracy of the class tokens of b\.pth'):
        known_accuracies(read_results(path), other)


def rows_of_rank(rank):
    measured, data = open_networks(), open_data()
    reader = FeatureReader(data, batch_size=16, progress=False, shared=True)
    clusters = Clusters(count=4, repeats=3)
    runs = list(clustering_rows(reader, measured, clusters, baselines=True))
    rows = list(label_free_rows(reader, measured, Views(4, 2), k=5, baselines=True))
    return [(row.runs, row.baselines) for row in runs], [
        (row.measures, row.knn, row.baselines) for row in rows
    ]


def test_two_processes_find_what_one_finds(reader, measured):
    first, second = run_distributed(rows_of_rank, 2)
    assert first == second
    runs = clustering_rows(reader, measured, Clusters(count=4, repeats=3), baselines=True)
    assert first[0] == [(row.runs, row.baselines) for row in runs]
    rows = label_free_rows(reader, measured, Views(4, 2), k=5, baselines=True)
    assert first[1] == [(row.measures, row.knn, row.baselines) for row in rows]
