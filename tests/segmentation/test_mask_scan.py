"""All masks are read, and what is wrong with them is one line."""

import os

import numpy as np
import pytest
from mmcv.transforms import LoadImageFromFile
from mmseg.datasets.transforms import LoadAnnotations
from PIL import Image

from poa_mm.datasets import threads
from poa_mm.datasets.load_image import LoadImage
from poa_mm.segmentation import mask_scan
from poa_mm.segmentation.mask_content import LabelScale, MaskContent
from poa_mm.segmentation.masks import label_table

SHAPE = (6, 8)
CLASSES = ('ground', 'left', 'right')
SAYS = '3 classes: 0 to 2, and 255 for what is ignored'


@pytest.fixture
def items(tmp_path):
    """Three images with masks that hold all classes and an ignored row."""
    labels = (np.arange(48) % 3).astype(np.uint8).reshape(SHAPE)
    labels[0] = 255
    for index in range(3):
        Image.fromarray(np.zeros((*SHAPE, 3), np.uint8)).save(tmp_path / f'{index}.jpg')
        Image.fromarray(labels).save(tmp_path / f'{index}.png')
    return [
        {'img_path': f'{tmp_path}/{index}.jpg', 'seg_map_path': f'{tmp_path}/{index}.png'}
        for index in range(3)
    ]


def scan(items, images=LoadImage, reduced=False, **loader):
    content = MaskContent('the data set', CLASSES, 255, reduced=reduced)
    scale = LabelScale(3, 255, label_table(reduced, None))
    image_loader = images and images(**loader)
    mask_scan.scan(items, LoadAnnotations(), image_loader, scale, content)
    return content


def fault(items, **options):
    with pytest.raises(ValueError, match=r'\.png') as error:
        scan(items, **options)
    return str(error.value).replace(os.path.dirname(items[0]['img_path']), 'R')  # noqa: PTH120


def put(item, array, **options):
    Image.fromarray(array).save(item['seg_map_path'], **options)


def turn(path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    with Image.open(path) as image:
        image.load()
    image.save(path, exif=exif)


def test_what_masks_hold_comes_in_their_order(items):
    put(items[1], np.zeros(SHAPE, np.uint8))
    content = scan(items)
    assert content.paths == [item['seg_map_path'] for item in items]
    assert [list(present) for present in content.present] == [
        [True, True, True],
        [True, False, False],
        [True, True, True],
    ]
    assert content.ignored == [8, 0, 8]
    assert content.lossy == [False, False, False]


def test_one_mask_with_labels_beyond_the_classes(items):
    put(items[2], np.full(SHAPE, 7, np.uint8))
    assert fault(items) == f'R/2.png holds the labels [7], but the model has {SAYS}'


def test_several_masks_with_labels_beyond_the_classes(items):
    put(items[1], np.full(SHAPE, 7, np.uint8))
    put(items[2], np.full(SHAPE, 9, np.uint8))
    assert fault(items) == (
        '2 of 3 masks hold labels that are no classes: R/1.png holds the labels [7], but the model '
        f'has {SAYS}'
    )


def test_labels_that_begin_with_1(items):
    for item in items:
        put(item, np.full(SHAPE, 3, np.uint8))
    assert fault(items).endswith(f'{SAYS} (reduce_zero_label=True, if 1 is the first class)')
    scan(items, reduced=True)
    put(items[0], np.full(SHAPE, 4, np.uint8))
    assert fault(items, reduced=True) == (
        'R/0.png holds the labels [4], but the model has 3 classes: 1 to 3, and 0, 255 for what '
        'is ignored'
    )


def test_faults_of_files_and_of_what_they_hold_are_told_together(items):
    with open(items[0]['seg_map_path'], 'wb'):  # noqa: PTH123
        pass
    put(items[1], np.full(SHAPE, 300, np.uint16))
    put(items[2], np.full(SHAPE, 9, np.uint8))
    assert fault(items) == (
        '1 of 3 masks cannot be read; the first is R/0.png: unknown format; '
        '1 of 3 masks have more than 8 bits a pixel, which would be cut off; the first is '
        'R/1.png, of mode I;16: save them with modes L or P; '
        f'R/2.png holds the labels [9], but the model has {SAYS}'
    )


def test_colours_are_no_labels(items):
    for item in items[:2]:
        put(item, np.zeros((*SHAPE, 3), np.uint8))
    told = 'a mask must have the size of its image, and one number a pixel'
    assert fault(items) == (
        f'2 of 3 masks do not lie on their image: R/0.png is loaded as (6, 8, 3), its image as '
        f'(6, 8): {told}'
    )
    assert fault(items, images=None).endswith(f'R/0.png is loaded as (6, 8, 3): {told}')


def test_masks_of_another_size(items):
    put(items[1], np.zeros((3, 4), np.uint8))
    assert fault(items).startswith('R/1.png is loaded as (1, 3, 4), its image as (6, 8): ')
    assert len(scan(items, images=None).paths) == 3


@pytest.mark.parametrize('suffix', ['.jpg', '.png', '.tif'])
@pytest.mark.parametrize('orientation', range(1, 9))
def test_images_are_compared_as_they_are_loaded(items, suffix, orientation):
    """mmcv turns JPEG and PNG files as they say, but no TIFF; we turn all; unless told not to."""
    item = items[0]
    image = item['img_path'].replace('.jpg', f'_image{suffix}')
    Image.open(item['img_path']).save(image)
    turn(image, orientation)
    one = [{**item, 'img_path': image}]
    for images, color_type in (
        (LoadImage, 'color'),
        (LoadImageFromFile, 'color'),
        (LoadImageFromFile, 'color_ignore_orientation'),
    ):
        options = {'images': images, 'color_type': color_type}
        shape = images(color_type=color_type).transform({'img_path': image})['img_shape']
        put(item, np.eye(*shape, dtype=np.uint8))
        assert len(scan(one, **options).paths) == 1
        put(item, np.eye(*shape[::-1], dtype=np.uint8))
        assert f'its image as {tuple(shape)}' in fault(one, **options)


def test_images_that_cannot_be_read_are_told_with_their_mask(items):
    with open(items[1]['img_path'], 'w') as file:  # noqa: PTH123
        file.write('text')
    assert fault(items) == (
        '1 of 3 masks have an image that cannot be read; the first is R/1.png: R/1.jpg cannot be '
        'read as an image: unknown format'
    )


def test_a_bar_shows_what_takes_long(items, monkeypatch, capsys):
    scan(items)
    assert capsys.readouterr().out == ''
    done = []
    monkeypatch.setattr(threads, 'PATIENCE', -1)
    monkeypatch.setattr(
        threads.Progress, 'update', lambda self, task, completed: done.append(completed)
    )
    scan(items)
    assert done == [1, 2, 3]
