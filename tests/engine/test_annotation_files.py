"""Configs of mmdet's users, whose annotation files are checked all the same."""

import re

import pytest
from helpers import load_tool
from mmdet.datasets import CocoDataset
from mmengine.config import Config
from mmengine.registry import DefaultScope
from tiny.annotations import ANNOTATIONS, edit
from tiny.scenes import write_coco, write_config
from tool_outcome import outcome

from poa_mm.detection import AnnotationCheckHook
from poa_mm.engine import launch
from poa_mm.engine.annotation_files import with_checked_files


@pytest.fixture
def mmdet():
    with DefaultScope.overwrite_default_scope('mmdet'):
        yield


@pytest.mark.parametrize('kind', ['CocoDataset', 'mmdet.CocoDataset', CocoDataset])
def test_plain_data_sets_are_replaced_wherever_they_are(kind, mmdet):
    inner = {'type': kind, 'ann_file': 'a.json'}
    repeated = {'type': 'RepeatDataset', 'times': 2, 'dataset': inner}
    loader = {'batch_size': 1, 'dataset': {'type': 'ConcatDataset', 'datasets': [repeated]}}
    checked = with_checked_files(loader)
    changed = checked['dataset']['datasets'][0]['dataset']
    assert changed == {'type': 'mmdet.CheckedCocoDataset', 'ann_file': 'a.json'}
    assert inner['type'] == kind  # the config stays as it was
    assert with_checked_files(checked) is checked


def test_plain_metrics_are_replaced(mmdet):
    metrics = [{'type': 'CocoMetric', 'ann_file': 'a.json'}, {'type': 'VOCMetric'}]
    kinds = [metric['type'] for metric in with_checked_files(metrics)]
    assert kinds == ['mmdet.CheckedCocoMetric', 'VOCMetric']
    assert with_checked_files(metrics[0])['type'] == 'mmdet.CheckedCocoMetric'


@pytest.mark.parametrize(
    'part',
    [
        {'type': 'LVISDataset'},
        {'type': 'mmpose.CocoDataset'},
        {'type': 'CocoDataset', '_scope_': 'mmpose'},
        {'batch_size': 1},
        None,
    ],
)
def test_others_are_left_alone(part, mmdet):
    assert with_checked_files(part) is part


def test_another_librarys_class_of_that_name():
    with DefaultScope.overwrite_default_scope('mmpose'):
        assert with_checked_files({'type': 'CocoDataset'}) == {'type': 'CocoDataset'}


def test_runs_of_plain_configs_are_checked(tmp_path):
    """Without anything of this package in the config, and without a change in it."""
    write_coco(tmp_path / 'coco')
    cfg = Config.fromfile(write_config(tmp_path / 'config.py', tmp_path / 'coco'))
    cfg.work_dir = str(tmp_path / 'run')
    for split in ('train', 'val', 'test'):
        cfg[f'{split}_dataloader'].dataset.type = 'CocoDataset'
    for split in ('val', 'test'):
        cfg[f'{split}_evaluator'].type = 'mmdet.CocoMetric'
    cfg.custom_hooks = None
    runner = launch.build_runner(cfg)
    assert sum(isinstance(hook, AnnotationCheckHook) for hook in runner.hooks) == 1
    path = tmp_path / 'coco' / ANNOTATIONS
    whole = path.read_text()
    edit(tmp_path / 'coco', lambda content: content['annotations'][2].pop('category_id'))
    for loop in ('train', 'val', 'test'):
        with pytest.raises(ValueError, match=r'2017.json: no category_id: 1 of \d+ .* id 3$'):
            getattr(runner, loop)()
    other = tmp_path / 'metric.json'
    other.write_text(path.read_text())
    path.write_text(whole)
    evaluator = {**cfg.val_evaluator, 'ann_file': str(other)}
    with pytest.raises(ValueError, match=r'metric.json: no category_id: 1 of \d+ .* id 3$'):
        runner.build_evaluator(evaluator)
    assert runner.cfg.val_dataloader.dataset.type == 'CocoDataset'


def test_the_tool_ends_with_one_line(tmp_path, monkeypatch):
    write_coco(tmp_path / 'coco')
    edit(tmp_path / 'coco', lambda content: content['annotations'][2].pop('category_id'))
    config = write_config(tmp_path / 'config.py', tmp_path / 'coco')
    arguments = ['train.py', str(config), '--work-dir', str(tmp_path / 'run')]
    monkeypatch.setattr('sys.argv', arguments)
    answer = outcome(load_tool('train').main)
    assert re.match(r'error: \S*2017.json: no category_id: 1 of \d+ .* id 3$', answer)
