"""Detection runs whose data sets, heads and metrics have different classes."""

import json

import pytest
from mmengine.config import Config
from tiny.scenes import CLASSES, write_coco, write_config

from poa_mm.engine import launch
from poa_mm.registry import DATASETS

TWO = CLASSES[:2]


@pytest.fixture
def config(tmp_path):
    write_coco(tmp_path / 'coco')
    cfg = Config.fromfile(write_config(tmp_path / 'config.py', tmp_path / 'coco'))
    cfg.work_dir = str(tmp_path / 'run')
    return cfg


def test_without_the_check_a_misspelled_name_would_train(config):
    """Which is why it is there: mmdet's data set drops the name and moves the others up."""
    options = {**config.train_dataloader.dataset, 'type': 'CocoDataset', '_scope_': 'mmdet'}
    options['metainfo'] = {'classes': ('oops', *CLASSES[1:])}
    dataset = DATASETS.build({**options, 'lazy_init': True})
    dataset.load_data_list()
    assert dataset.cat2label == {2: 0, 3: 1}  # 'square' got the label of 'oops'


@pytest.mark.parametrize('split', ['train', 'val'])
def test_names_are_checked_before_training(config, split):
    config[f'{split}_dataloader'].dataset.metainfo.classes = ('oops', *CLASSES[1:])
    with pytest.raises(ValueError, match=r"has no classes \['oops'\]; it has \['triangle'"):
        launch.build_runner(config).train()


def test_training_and_validation_have_the_same_classes(config):
    config.val_dataloader.dataset.metainfo.classes = TWO
    with pytest.raises(ValueError, match=r"training has the classes \['tri.*, validation \['tri"):
        launch.build_runner(config).train()


def set_heads(config, part, number):
    head = config.model.roi_head[part]
    for one in head if isinstance(head, list) else [head]:
        one.num_classes = number


@pytest.mark.parametrize(
    ('part', 'loop'), [('bbox_head', 'train'), ('mask_head', 'val'), ('mask_head', 'test')]
)
def test_heads_have_the_classes_of_the_data(config, part, loop):
    set_heads(config, part, 80)
    runner = launch.build_runner(config)
    message = rf'has 3 classes, but .*: roi_head\.{part}\.0 80, .*roi_head\.{part}\.2 80$'
    with pytest.raises(ValueError, match=message):
        getattr(runner, loop)()
    assert runner.iter == 0


@pytest.mark.parametrize('loop', ['train', 'test'])
def test_metrics_count_the_classes_of_the_data(config, tmp_path, loop):
    content = json.loads((tmp_path / 'coco/annotations/instances_train2017.json').read_text())
    content['categories'].reverse()
    (tmp_path / 'other.json').write_text(json.dumps(content))
    for split in ('val', 'test'):
        config[f'{split}_evaluator'].ann_file = str(tmp_path / 'other.json')
    with pytest.raises(ValueError, match=r"ann_file of its CocoMetric \['hexagon', 'square'"):
        getattr(launch.build_runner(config), loop)()


def test_some_of_the_classes_train_and_validate(config):
    for split in ('train', 'val'):
        config[f'{split}_dataloader'].dataset.metainfo.classes = TWO
    for part in ('bbox_head', 'mask_head'):
        set_heads(config, part, 2)
    runner = launch.build_runner(config)
    runner.train()
    assert runner.iter == 2
