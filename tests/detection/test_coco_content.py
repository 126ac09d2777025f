"""The content of annotation files: what is refused, and what is repaired with one warning."""

import copy
import logging
import math
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.logging import MMLogger
from pycocotools import mask as coco_mask
from tiny.annotations import BOXES, corners, small_content

from poa_mm.detection.coco import check_content
from poa_mm.detection.coco.findings import _warn

NAN = math.nan


@pytest.fixture
def warnings():
    """What is logged."""
    texts = []
    handler = logging.Handler()
    handler.emit = lambda record: texts.append(record.getMessage())
    _warn.cache_clear()
    logger = MMLogger.get_current_instance()
    logger.addHandler(handler)
    yield texts
    logger.removeHandler(handler)


def changed(change):
    content = small_content()
    change(content)
    return content


def put(part, key, *values):
    """A change: set a key of the first entries of a part."""

    def change(content):
        for entry, value in zip(content[part], values, strict=False):
            entry[key] = value

    return change


def drop(part, key):
    """A change: no entry of a part has a key."""
    return lambda content: [entry.pop(key) for entry in content[part]]


def repeat(part, **changes):
    """A change: another entry like the first, with other values."""
    return lambda content: content[part].append({**copy.deepcopy(content[part][0]), **changes})


def test_a_good_file_stays_as_it_is(warnings):
    content = small_content()
    check_content(content, 'file.json', masks=True)
    assert content == small_content()
    assert not warnings


FAULTS = [
    (drop('images', 'id'), 'id is no integer: 2 of 2 images, the first has id none'),
    (put('images', 'id', None), 'id is no integer: 1 of 2 images, the first has id None'),
    (put('images', 'id', 1.5), 'id is no integer: 1 of 2 images, the first has id 1.5'),
    (put('images', 'id', True), 'id is no integer: 1 of 2'),
    (put('images', 'id', [1]), 'id is no integer: 1 of 2'),
    (put('images', 'id', 'a'), "id is no integer: 1 of 2 images, the first has id 'a'"),
    (drop('images', 'file_name'), 'no file_name: 2 of 2 images, the first has id 1'),
    (put('images', 'file_name', 7), 'no file_name: 1 of 2 images'),
    (drop('images', 'width'), "no width and height in pixels: 2 of 2 .* id 1 \\('1.png'\\)"),
    (put('images', 'height', 0, -3), 'no width and height in pixels: 2 of 2'),
    (put('images', 'width', None), 'no width and height in pixels: 1 of 2'),
    (put('images', 'width', 12.5), 'no width and height in pixels: 1 of 2'),
    (put('images', 'width', '12 px'), 'no width and height in pixels: 1 of 2'),
    (repeat('images', file_name='b.png'), "one id for several: 1 of 3 .* 1 \\(file_name: 'b.png"),
    (repeat('images', width=64), 'one id for several: 1 of 3'),
    (repeat('images', id=3), "the file of another image, with .*: 1 of 3 .* id 3 \\('1.png'\\)"),
    (drop('categories', 'id'), 'id is no integer: 2 of 2 categories'),
    (put('categories', 'name', None), 'no name: 1 of 2 categories, the first has id 1'),
    (put('categories', 'name', 4), 'no name: 1 of 2 categories, .* \\(name: 4\\)'),
    (put('categories', 'name', '  '), 'no name: 1 of 2 categories'),
    (repeat('categories', name='cow'), "one id for several: 1 of 3 categories, .* 'cow'"),
    (repeat('categories', id=3), "several ids for one name: 2 of 3 .* id 1 \\(name: 'cat'\\)"),
    (put('categories', 'name', 'dog '), "several ids for one name: 2 of 2 .*name: 'dog'"),
    (drop('annotations', 'image_id'), 'no image_id: 4 of 4 annotations, the first has id 1'),
    (put('annotations', 'image_id', 1, 9), 'image_id is that of none of the .*: 1 .* 2 .*: 9'),
    (put('annotations', 'image_id', 1, 'b'), 'image_id is that of none of the .*: 1 of 4'),
    (put('annotations', 'image_id', [1]), 'image_id is that of none of the .*: 1 of 4'),
    (put('annotations', 'image_id', True), 'image_id is that of none of the .*: 1 of 4'),
    (put('annotations', 'category_id', None), 'no category_id: 1 of 4 annotations, .* has id 1'),
    (put('annotations', 'category_id', 0, 0), 'category_id is that of none of the .*: 2 of 4'),
    (put('annotations', 'iscrowd', 2), 'iscrowd is neither 0 nor 1: 1 of 4 .*: 2'),
    (put('annotations', 'iscrowd', 'no'), "iscrowd is neither 0 nor 1: 1 of 4 .*: 'no'"),
    (put('annotations', 'ignore', [1]), 'ignore is neither 0 nor 1: 1 of 4'),
    (put('annotations', 'iscrowd', 1, 1, 1, 1), r'crowds \(iscrowd is 1\), .*: 4 of 4'),
    (put('annotations', 'bbox', [1, 2, 3]), r'bbox is not four .*: 1 of 4 .* \(bbox: \[1, 2, 3\]'),
    (put('annotations', 'bbox', [1, 2, 3, NAN]), 'bbox is not four finite .*: 1 of 4'),
    (put('annotations', 'bbox', [1, 2, 3, math.inf]), 'bbox is not four finite .*: 1 of 4'),
    (put('annotations', 'bbox', [1, 2, '3', 4]), 'bbox is not four finite .*: 1 of 4'),
    (put('annotations', 'bbox', '1 2 3 4'), 'bbox is not four finite .*: 1 of 4'),
    (put('annotations', 'bbox', {'x': 1}), 'bbox is not four finite .*: 1 of 4'),
    (put('annotations', 'bbox', [50, 50, -4, 9]), 'bbox of negative width or height: 1 of 4'),
    (
        put('annotations', 'bbox', [200, 5, 10, 10]),
        r'bbox outside the width and height .*: 1 .* \[200, 5, 10, 10\]',
    ),
    (
        put('annotations', 'bbox', [-20, 5, 10, 10]),
        'bbox outside the width and height that are stated for its image: 1',
    ),
    (
        put('annotations', 'bbox', *[[x, y, x + w, y + h] for x, y, w, h in BOXES]),
        'bbox is x1, y1, x2, y2, not x, y, width, height: it would .*: 3 of 4',
    ),
    (
        put('annotations', 'bbox', *[[v / 128 for v in box] for box in BOXES]),
        'bbox as fractions of the image, not in pixels: 4 of 4',
    ),
]


@pytest.mark.parametrize(('change', 'message'), FAULTS)
def test_refused(change, message, warnings):
    content = changed(change)
    drop('annotations', 'segmentation')(content)
    with pytest.raises(ValueError, match=f'^file.json: {message}') as caught:
        check_content(content, 'file.json')
    assert '\n' not in str(caught.value)
    assert not warnings


SQUARE = [1, 1, 9, 1, 9, 9, 1, 9]
CODE = {'size': [128, 128], 'counts': [0, 128, 128 * 127]}
PACKED = coco_mask.encode(np.asfortranarray(np.eye(128, dtype=np.uint8)))['counts'].decode()
MASK_FAULTS = [
    (None, "no segmentation, which the model's masks need: 1 of 4 annotations, the first has id 1"),
    ([], 'no segmentation'),
    ([[]], 'no segmentation'),
    ([[], []], 'no segmentation'),
    ({}, 'no segmentation'),
    ('', 'no segmentation'),
    ([[1, 2, 30, 40]], r'segmentation is no list .*: 1 of 4 .* \(segmentation: \[\[1, 2, 30, 40\]'),
    ([1, 2, 30, 40], 'segmentation is no list of polygons'),
    ([[64.0, 64.0]], 'segmentation is no list of polygons'),
    ([SQUARE[:-1]], 'segmentation is no list of polygons'),
    ([SQUARE, SQUARE[:-1]], 'segmentation is no list of polygons'),
    ([[str(v) for v in SQUARE]], 'segmentation with coordinates that are no pixels: 1 of 4'),
    ([[*SQUARE[:-1], None]], 'segmentation with coordinates that are no pixels: 1 of 4'),
    ([[*SQUARE[:-1], NAN]], 'segmentation with coordinates that are no pixels: 1 of 4'),
    ([[*SQUARE[:-1], 1e9]], 'segmentation with coordinates that are no pixels: 1 of 4'),
    ([[[SQUARE]]], 'segmentation is no list of polygons'),
    ([[v + 200 for v in SQUARE]], 'segmentation outside the width and height that .*: 1 of 4'),
    ('1 1 9 1 9 9', 'segmentation is neither polygons nor a run-length code'),
    (7, 'segmentation is neither polygons nor a run-length code'),
    ({'counts': [1]}, 'segmentation is neither polygons nor a run-length code'),
    ({**CODE, 'size': [128, 64]}, r'segmentation whose size is not the \[height, width\]'),
    ({**CODE, 'size': None}, r'segmentation whose size is not the \[height, width\]'),
    ({**CODE, 'counts': [0, 128]}, 'segmentation whose counts are damaged'),
    ({**CODE, 'counts': [0, 128, -9]}, 'segmentation whose counts are damaged'),
    ({**CODE, 'counts': ['1']}, 'segmentation whose counts are damaged'),
    ({**CODE, 'counts': [0.5, 128 * 128 - 0.5]}, 'segmentation whose counts are damaged'),
    ({**CODE, 'counts': []}, 'segmentation whose counts are damaged'),
    ({**CODE, 'counts': ''}, 'segmentation whose counts are damaged'),
    ({**CODE, 'counts': None}, 'segmentation whose counts are damaged'),
    ({**CODE, 'counts': f'b{PACKED!r}'}, 'segmentation whose counts are damaged'),
    ({**CODE, 'counts': PACKED[:-3]}, 'segmentation whose counts are damaged'),
    ({**CODE, 'counts': 'hello world'}, 'segmentation whose counts are damaged'),
    ({**CODE, 'counts': [128 * 128]}, 'segmentation without a pixel'),
    ([[v + 60 for v in SQUARE]], r'bbox and segmentation have nothing in common: 1 .*\(bbox: \[8'),
]


@pytest.mark.parametrize(('segmentation', 'message'), MASK_FAULTS)
def test_masks_that_are_refused(segmentation, message, warnings):
    """By models with masks: others do not look at them."""
    content = changed(put('annotations', 'segmentation', segmentation))
    check_content(copy.deepcopy(content), 'file.json', masks=False)
    with pytest.raises(ValueError, match=f'^file.json: {message}'):
        check_content(content, 'file.json', masks=True)
    assert not warnings


def test_a_box_that_is_corners_of_its_mask(warnings):
    """One alone, and within the image either way."""
    content = changed(put('annotations', 'bbox', [8, 10, 48, 60]))
    check_content(copy.deepcopy(content), 'file.json', masks=False)
    with pytest.raises(ValueError, match=r'bbox is x1, y1, x2, y2 by its .*: 1 .*\[8, 10, 48, 60'):
        check_content(content, 'file.json', masks=True)


def test_all_faults_are_told_at_once():
    content = changed(put('annotations', 'bbox', None, [1, 2], [5, 5, -1, 1]))
    content['annotations'][0].pop('segmentation')
    message = '^file.json: no bbox: 1 .*; bbox is not four .*; bbox of negative .* id 3 '
    with pytest.raises(ValueError, match=message):
        check_content(content, 'file.json')


def fields(content, key):
    return [a[key] for a in content['annotations']]


AREAS = [2000, 1320, 1800, 500]
REPAIRS = [
    (drop('annotations', 'area'), 'area', AREAS, 'area missing .* computed .*: 4 of 4'),
    (put('annotations', 'area', 0, 1), 'area', [2000, 1, 1800, 500], 'area .*: 1 of 4'),
    (put('annotations', 'area', None, NAN, '9', -1), 'area', AREAS, 'area .*: 4 of 4'),
    (put('annotations', 'area', math.inf), 'area', AREAS, 'area .*: 1 of 4 .*: inf'),
    (drop('annotations', 'iscrowd'), 'iscrowd', [0] * 4, 'no iscrowd, taken as 0: 4 of 4'),
    (put('annotations', 'iscrowd', None), 'iscrowd', [0] * 4, 'no iscrowd, taken as 0: 1 of 4'),
    (put('annotations', 'iscrowd', '0', '1', False, 0.0), 'iscrowd', [0, 1, 0, 0], None),
    (put('annotations', 'ignore', '0', True, 0, 1), 'ignore', [0, 1, 0, 1], None),
    (put('annotations', 'id', 0, 1, 2, 3), 'id', [1, 2, 3, 4], 'no unique .*: 1 of 4 .* id 0'),
    (put('annotations', 'id', 0, 0, 0, 0), 'id', [1, 2, 3, 4], 'no unique integer .*: 4 of 4'),
    (put('annotations', 'id', 7, 9, 7, 8), 'id', [1, 2, 3, 4], 'no unique .*: 1 of 4 .* id 7'),
    (put('annotations', 'id', 'a', -1, None, 2.5), 'id', [1, 2, 3, 4], "no unique .*: 4 .* 'a'"),
    (drop('annotations', 'id'), 'id', [1, 2, 3, 4], 'no unique .*: 4 of 4 .* id none'),
    (put('annotations', 'id', 40, 10, 30, 20), 'id', [40, 10, 30, 20], None),
    (repeat('annotations'), 'id', [1, 2, 3, 4], 'repeated, taken once: 1 of 5 .* id 1'),
    (drop('annotations', 'bbox'), 'bbox', [list(b) for b in BOXES], 'no bbox, taken .*: 4 of 4'),
    (put('annotations', 'bbox', []), 'bbox', [list(b) for b in BOXES], 'no bbox, taken .*: 1'),
    (put('annotations', 'image_id', '2', 1.0), 'image_id', [2, 1, 2, 1], 'image_id written .*: 2'),
    (put('annotations', 'category_id', '01'), 'category_id', [1, 1, 2, 2], 'category_id wri.*: 1'),
    (
        put('annotations', 'segmentation', corners(BOXES[0]), [[[8, 10], [48, 10], [48, 60]]]),
        'segmentation',
        [[corners(BOXES[0])], [[8, 10, 48, 10, 48, 60]], *[[corners(b)] for b in BOXES[2:]]],
        'segmentation as one .*: 2 of 4',
    ),
    (
        put('annotations', 'segmentation', [[64, 64], corners(BOXES[0]), [1, 2, 3, 4], []]),
        'segmentation',
        [[corners(b)] for b in BOXES],
        'segmentation as one .*: 1 of 4',
    ),
    (
        put('annotations', 'segmentation', [[8, 10], [48, 10], [48, 60], [8, 60]]),
        'segmentation',
        [[corners(b)] for b in BOXES],
        'segmentation as one .*: 1 of 4',
    ),
]


@pytest.mark.parametrize(('change', 'key', 'values', 'message'), REPAIRS)
def test_repaired(change, key, values, message, warnings):
    content = changed(change)
    if content['annotations'][1].get('segmentation') == [[[8, 10], [48, 10], [48, 60]]]:
        content['annotations'][1]['bbox'] = list(BOXES[0])
    check_content(content, 'file.json', masks=True)
    assert fields(content, key) == values
    assert len(warnings) == (message is not None)
    if message is not None:
        assert re.match(f'file.json: {message}', warnings[0])
    check_content(content, 'again.json', masks=True)
    assert len(warnings) == (message is not None)  # it is repaired


def test_one_warning_counts_all(warnings):
    def change(content):
        drop('annotations', 'area')(content)
        drop('annotations', 'iscrowd')(content)
        put('annotations', 'id', 0)(content)

    for _ in range(2):  # a data set and its metric
        check_content(changed(change), 'file.json')
    assert len(warnings) == 1
    assert warnings[0].count('of 4 annotations') == 3


def test_what_is_told_and_stays(warnings):
    """Boxes that mmdet leaves out of training, and boxes that are only partly in the image."""
    boxes = [[5, 5, 0, 10], [-20, 5, 60, 10], [100, 50, 60, 5], [5, 5, 0.4, 0.4]]
    content = changed(put('annotations', 'bbox', *boxes))
    drop('annotations', 'segmentation')(content)
    check_content(content, 'file.json')
    assert fields(content, 'bbox') == boxes
    assert 'bbox beyond the image: 2 of 4 annotations, the first has id 2' in warnings[0]
    assert 'bbox under a pixel wide or high, which training leaves' in warnings[0]
    assert 'out and testing counts: 2 of 4 annotations, the first has id 1' in warnings[0]


def test_ids_of_text_and_of_decimals(warnings):
    """Files number their images as they like, if all in one way."""
    content = small_content()
    for image in content['images']:
        image['id'] = f'00{image["id"]}'
    for a in content['annotations']:
        a['image_id'] = f'00{a["image_id"]}'
        a['category_id'] = float(a['category_id'])
    check_content(content, 'file.json')
    assert fields(content, 'image_id') == ['002', '001', '002', '001']
    assert all(type(value) is int for value in fields(content, 'category_id'))
    mixed = changed(put('images', 'id', '1'))
    check_content(mixed, 'file.json')
    assert [image['id'] for image in mixed['images']] == [1, 2]


def test_sizes_in_decimals_and_text():
    content = changed(put('images', 'width', 128.0, '128'))
    check_content(content, 'file.json')
    assert [type(image['width']) for image in content['images']] == [int, int]


def test_repeated_images_and_categories(warnings):
    content = small_content()
    repeat('images')(content)
    repeat('categories', supercategory='animal')(content)
    content['categories'][0]['name'] = ' cat\n'
    content['categories'][2]['name'] = 'cat'
    check_content(content, 'file.json')
    assert len(content['images']) == len(content['categories']) == 2
    assert content['categories'][0]['name'] == 'cat'
    assert 'repeated, taken once: 1 of 3 images' in warnings[0]
    assert r'spaces around the name, cut off: 1 of 3 categories, the first has id 1' in warnings[0]


def test_copies_of_an_image_with_all_its_objects(warnings):
    """To show it more often; with other objects it is a fault."""
    content = small_content()
    repeat('images', id=3)(content)
    first = [a for a in content['annotations'] if a['image_id'] == 1]
    content['annotations'] += [{**a, 'id': a['id'] + 10, 'image_id': 3} for a in first]
    check_content(content, 'file.json')
    assert 'several images of one file: 2 of 3 images, the first has id 1' in warnings[0]


def test_crowds_that_are_polygons_and_most_of_all(warnings):
    content = changed(put('annotations', 'iscrowd', 1, 1, 1))
    check_content(content, 'file.json', masks=True)
    assert 'crowds (iscrowd is 1), which are neither trained on nor counted: 3 of 4' in warnings[0]


@given(st.integers(2, 12), st.integers(2, 12), st.randoms(use_true_random=False))
@settings(max_examples=50)
def test_every_run_length_code_is_read_as_pycocotools_reads_it(height, width, random):
    mask = np.array([[random.random() < 0.4 for _ in range(width)] for _ in range(height)])
    mask[0, 0] = mask[1, 1] = True
    packed = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    code = {'size': [height, width], 'counts': packed['counts'].decode()}
    content = changed(put('annotations', 'segmentation', code))
    content['images'][1].update(width=width, height=height)
    del content['annotations'][1:]
    drop('annotations', 'bbox')(content)
    drop('annotations', 'area')(content)
    check_content(content, 'file.json', masks=True)
    assert content['annotations'][0]['bbox'] == coco_mask.toBbox(packed).tolist()
    assert content['annotations'][0]['area'] == mask.sum()


@given(st.lists(st.tuples(st.integers(2, 127), st.integers(2, 127)), min_size=3, max_size=12))
@settings(max_examples=50)
def test_every_polygon_is_measured_as_a_loop_does(points):
    polygon = [value for point in points for value in point]
    following = [*points[1:], points[0]]
    twice = sum(a[0] * b[1] - b[0] * a[1] for a, b in zip(points, following, strict=True))
    content = changed(put('annotations', 'segmentation', [polygon]))
    del content['annotations'][1:]
    drop('annotations', 'bbox')(content)
    drop('annotations', 'area')(content)
    check_content(content, 'file.json', masks=True)
    x, y = zip(*points, strict=True)
    box = [min(x), min(y), max(x) - min(x), max(y) - min(y)]
    assert content['annotations'][0]['bbox'] == box
    assert content['annotations'][0]['area'] == (abs(twice) / 2 or box[2] * box[3])
