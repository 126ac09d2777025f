"""Scores of perfect predictions, with annotation files as other tools write them."""

import json

import pytest
from mmdet.evaluation import CocoMetric
from mmdet.utils import register_all_modules
from tiny.annotations import ANNOTATIONS, edit, masked_pipeline, perfect_scores, settings
from tiny.scenes import CLASSES, write_coco

from poa_mm.detection.coco import CheckedCocoDataset, CheckedCocoMetric

register_all_modules(init_default_scope=False)


@pytest.fixture(scope='module')
def scenes(tmp_path_factory):
    folder = tmp_path_factory.mktemp('scenes')
    write_coco(folder, images=6, seed=3)
    return folder


@pytest.fixture
def folder(scenes, tmp_path):
    """A set whose annotations a test may change."""
    (tmp_path / 'annotations').mkdir()
    (tmp_path / ANNOTATIONS).write_bytes((scenes / ANNOTATIONS).read_bytes())
    (tmp_path / 'train2017').symlink_to(scenes / 'train2017')
    return tmp_path


def build(folder):
    return CheckedCocoDataset(**settings(folder, pipeline=masked_pipeline(), test_mode=True))


def metric(folder, kind=CheckedCocoMetric):
    return kind(ann_file=str(folder / ANNOTATIONS), metric=['bbox', 'segm'])


def each(**changes):
    """A change of every annotation; of what a function makes of it, or without the key."""

    def change(content):
        for number, a in enumerate(content['annotations']):
            for key, value in changes.items():
                value = value(number, a) if callable(value) else value
                if value is ...:
                    del a[key]
                else:
                    a[key] = value

    return change


def all_of(*changes):
    return lambda content: [change(content) for change in changes]


def images(**changes):
    def change(content):
        for image in content['images']:
            image.update({key: value(image) for key, value in changes.items()})

    return change


def parent_category(content):
    """A class above the others, which no object has."""
    content['categories'].insert(0, {'id': 0, 'name': 'shapes', 'supercategory': 'none'})


DIALECTS = {
    'ids from 0 (spytensor csv2coco, torchvision)': each(id=lambda number, _: number),
    'one id for all (CVAT)': each(id=0),
    'ids per image (mapillary, TACO)': each(id=lambda number, a: a['image_id']),
    'no ids': each(id=...),
    'no area (labelbee)': each(area=...),
    'area 0 (VIA, FiftyOne)': each(area=0),
    'no iscrowd (LVIS, pylabel)': each(iscrowd=...),
    'null iscrowd, category ids as text (pylabel)': each(
        iscrowd=None, category_id=lambda _, a: str(a['category_id'])
    ),
    'booleans and ignore (COCO Annotator, LabelImg)': each(iscrowd=False, ignore=0, isbbox=False),
    'no bbox, sizes in decimals (x2coco)': all_of(
        each(bbox=...), images(width=lambda i: float(i['width']))
    ),
    'polygons alone (supervision)': each(segmentation=lambda _, a: a['segmentation'][0]),
    'corners in pairs': each(
        segmentation=lambda _, a: [list(zip(*[iter(a['segmentation'][0])] * 2, strict=True))]
    ),
    'points beside polygons (COCO Annotator)': each(
        segmentation=lambda _, a: [*a['segmentation'], [64.0, 64.0]]
    ),
    'boxes of four numbers beside polygons': each(
        segmentation=lambda _, a: [[1, 2, 3, 4], *a['segmentation']]
    ),
    'image ids as text (VIA)': all_of(
        images(id=lambda i: str(i['id'])), each(image_id=lambda _, a: str(a['image_id']))
    ),
    'image ids as text on one side': images(id=lambda i: str(i['id'])),
    'image ids from 0, paths of Windows (Label Studio)': all_of(
        images(id=lambda i: i['id'] - 1, file_name=lambda i: f'images\\1/{i["file_name"]}'),
        each(image_id=lambda _, a: a['image_id'] - 1),
    ),
    'a class above the others (Roboflow)': parent_category,
}


@pytest.mark.parametrize('change', DIALECTS.values(), ids=DIALECTS)
def test_perfect_predictions_score_one(folder, change):
    edit(folder, change)
    scores = perfect_scores(metric(folder), build(folder))
    assert scores['coco/bbox_mAP'] == 1.0
    assert scores['coco/segm_mAP'] == 1.0


def test_without_the_check_an_id_is_lost(folder):
    """Which is why ids are renumbered: pycocotools takes 0 for no match."""
    edit(folder, each(id=lambda number, _: number))
    assert perfect_scores(metric(folder, CocoMetric), build(folder))['coco/bbox_mAP'] < 1.0


def test_areas_decide_on_small_medium_and_large(folder):
    """Those of the masks, as COCO's own; the boxes' would be others."""
    dataset = build(folder)
    expected = perfect_scores(metric(folder), dataset)
    edit(folder, each(area=...))
    assert perfect_scores(metric(folder), dataset) == expected
    content = json.loads((folder / ANNOTATIONS).read_text())
    areas = [a['area'] for a in metric(folder)._coco_api.dataset['annotations']]
    boxes = [a['bbox'][2] * a['bbox'][3] for a in content['annotations']]
    assert all(area < box for area, box in zip(areas, boxes, strict=True))


@pytest.mark.parametrize('metrics', ['bbox', ['bbox', 'segm']])
def test_files_are_checked_when_the_metric_is_built(folder, metrics):
    edit(folder, each(segmentation=...))
    options = {'ann_file': str(folder / ANNOTATIONS), 'metric': metrics}
    if metrics == 'bbox':
        assert len(CheckedCocoMetric(**options)._coco_api.imgs) == 6
    else:
        with pytest.raises(ValueError, match="no segmentation, which the model's masks"):
            CheckedCocoMetric(**options)
    edit(folder, each(image_id=77))
    with pytest.raises(ValueError, match='image_id is that of none of the images of the file'):
        CheckedCocoMetric(**options)
    with pytest.raises(FileNotFoundError, match=r'nowhere\.json'):
        CheckedCocoMetric(**{**options, 'ann_file': 'nowhere.json'})


def test_a_file_without_annotations(folder, tmp_path):
    """Such as COCO's for its test images: there predictions are written."""
    edit(folder, lambda content: content.pop('annotations'))
    options = {'ann_file': str(folder / ANNOTATIONS)}
    with pytest.raises(ValueError, match='has no annotations to compare predictions with; set for'):
        CheckedCocoMetric(**options)
    prefix = str(tmp_path / 'results')
    assert CheckedCocoMetric(**options, format_only=True, outfile_prefix=prefix)._coco_api.imgs


def test_without_a_file_of_its_own(folder):
    """The objects of the data set count."""
    assert CheckedCocoMetric()._coco_api is None


def test_categories_in_the_order_of_their_ids(folder):
    edit(folder, lambda content: content['categories'].reverse())
    path = str(folder / ANNOTATIONS)
    sorted_names = CheckedCocoMetric(ann_file=path, sort_categories=True)._coco_api.cats.values()
    assert [category['name'] for category in sorted_names] == list(CLASSES)
