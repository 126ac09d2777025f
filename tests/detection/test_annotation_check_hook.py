"""Detection runs whose annotations are for other images than their files and metrics."""

import json
import logging
import re
from types import SimpleNamespace

import pytest
from mmdet.datasets import CocoDataset
from mmengine.logging import MMLogger
from mmengine.registry import HOOKS
from PIL import Image
from tiny.annotations import ANNOTATIONS, masked_pipeline, settings
from tiny.scenes import write_coco

from poa_mm.detection import AnnotationCheckHook
from poa_mm.detection.coco import CheckedCocoDataset, CheckedCocoMetric

LOOPS = ('train', 'val', 'test')


@pytest.fixture(scope='module')
def scenes(tmp_path_factory):
    folder = tmp_path_factory.mktemp('scenes')
    write_coco(folder)
    return folder


@pytest.fixture
def folder(scenes, tmp_path):
    """Four images of 128 × 128 pixels."""
    for path in scenes.rglob('*.*'):
        copy = tmp_path / path.relative_to(scenes)
        copy.parent.mkdir(exist_ok=True)
        copy.write_bytes(path.read_bytes())
    return tmp_path


def run_on(folder, ann_file=None, kind=CheckedCocoDataset, **options):
    """What the hook sees of a run on a folder."""
    dataset = kind(**settings(folder, pipeline=masked_pipeline(), **options))
    loader = SimpleNamespace(dataset=dataset)
    metric = CheckedCocoMetric(ann_file=str(ann_file or folder / ANNOTATIONS))
    evaluator = SimpleNamespace(metrics=[SimpleNamespace(), metric])
    parts = {f'{loop}_dataloader': loader for loop in LOOPS}
    return SimpleNamespace(
        **parts, val_loop='a loop', val_evaluator=evaluator, test_evaluator=evaluator
    )


def check(run, loop='train'):
    getattr(HOOKS.build({'type': 'AnnotationCheckHook'}), f'before_{loop}')(run)


def resize(folder, number, size):
    path = folder / f'train2017/{number}.png'
    Image.open(path).resize(size).save(path)
    return path


@pytest.mark.parametrize('loop', LOOPS)
def test_images_of_data_sets_that_do_not_check_them(folder, loop):
    run = run_on(folder, kind=CocoDataset)
    check(run, loop)
    first = resize(folder, 2, (64, 64))
    message = (
        f'{folder}/{ANNOTATIONS}: 1 of 4 images are not those that were annotated; the '
        f'first: id 2, {first} is loaded as 64 × 64 pixels, and annotated as 128 × 128'
    )
    with pytest.raises(ValueError, match=f'^{re.escape(message)}$'):
        check(run, loop)
    run.train_dataloader.dataset.images_checked = True
    check(run, loop)


def test_a_data_set_is_checked_once_in_a_run(folder):
    run = run_on(folder, kind=CocoDataset)
    hook = AnnotationCheckHook()
    hook.before_train(run)
    resize(folder, 2, (64, 64))
    hook.before_val(run)


def test_images_within_wrappers(folder):
    run = run_on(folder, kind=CocoDataset)
    dataset = run.train_dataloader.dataset
    run.val_loop = None
    wrapped = SimpleNamespace(datasets=[SimpleNamespace(dataset=dataset), dataset])
    run.train_dataloader = SimpleNamespace(dataset=wrapped)
    resize(folder, 2, (64, 64))
    with pytest.raises(ValueError, match='1 of 4 images are not those that were annotated'):
        check(run)


def test_images_that_are_not_files_here(folder):
    resize(folder, 2, (64, 64))
    run = run_on(folder, kind=CocoDataset)
    run.train_dataloader.dataset.backend_args = {'backend': 'petrel'}
    check(run)


def test_the_metric_knows_the_images(folder, tmp_path):
    content = json.loads((folder / ANNOTATIONS).read_text())
    content['images'] = content['images'][:3]
    content['annotations'] = [a for a in content['annotations'] if a['image_id'] < 4]
    other = tmp_path / 'other.json'
    other.write_text(json.dumps(content))
    message = rf'1 of 4 images of \S*2017.json are not in {other} of the metric, .* id 4: set ann_'
    run = run_on(folder, other)
    for loop in ('val', 'test'):
        with pytest.raises(ValueError, match=message):
            check(run, loop)
    run.train_dataloader = run_on(folder).train_dataloader
    with pytest.raises(ValueError, match=message):
        check(run, 'train')


def test_objects_of_images_that_are_not_tested(folder, caplog):
    MMLogger.get_current_instance().addHandler(caplog.handler)
    check(run_on(folder, indices=2), 'test')
    text = 'of the metric has 4 images, of which 2 are tested: the objects of the others count as'
    assert [r.levelno for r in caplog.records if text in r.message] == [logging.WARNING]
