"""What masks leave to learn."""

import numpy as np
import pytest

from poa_mm.segmentation.mask_content import MOST_NAMES, LabelScale, MaskContent
from poa_mm.segmentation.masks import Mask, label_table


def content_of(masks, classes=('ground', 'thing'), ignored=255, reduced=False, lossy=False):
    """Content of masks, each given as its numbers."""
    content = MaskContent('the set', classes, ignored, reduced=reduced)
    scale = LabelScale(len(classes), ignored, label_table(reduced, None))
    for index, numbers in enumerate(masks):
        counts = np.bincount(numbers, minlength=256)
        content.add(f'{index}.png', Mask((1, len(numbers)), counts, lossy), scale)
    return content


@pytest.mark.parametrize(
    ('reduced', 'label_map', 'ignored', 'text'),
    [
        (False, None, 255, '0 to 2, and 255 for what is ignored'),
        (False, None, None, '0 to 2'),
        (False, None, 0, '1 to 2, and 0 for what is ignored'),
        (True, None, 255, '1 to 3, and 0, 255 for what is ignored'),
        (False, {0: 1, 1: 255, 2: 0, 3: 255, 4: 2}, 255, '0, 2, 4, and 1, 3, 255 for what is ign'),
    ],
)
def test_what_masks_may_hold_is_told(reduced, label_map, ignored, text):
    assert str(LabelScale(3, ignored, label_table(reduced, label_map))).startswith(text)


def test_numbers_are_classes_ignored_or_wrong():
    scale = LabelScale(3, 255, label_table(True, {0: 2, 2: 0, 3: 255}))
    counts = np.zeros(256, np.int64)
    counts[[0, 1, 2, 3, 4, 5, 255]] = [1, 2, 4, 8, 16, 32, 64]
    assert scale.wrong(counts) == [5]
    classes, ignored = scale.labels(counts)
    assert classes.tolist() == [8, 4, 2]
    assert ignored == 1 + 16 + 64


@pytest.mark.parametrize('training', [True, False])
def test_two_classes_as_0_and_255_are_refused(training):
    message = (
        "of 2 classes the 2 masks of the set hold 'ground' alone, all other pixels are ignored "
        r'\(two classes are 0 and 1 in masks, not 0 and 255\); the first is 0\.png'
    )
    with pytest.raises(ValueError, match=message):
        content_of([[0, 255], [0]]).check(training)
    content_of([[0, 255], [0, 1]]).check(training)


@pytest.mark.parametrize('training', [True, False])
def test_masks_without_labels_are_refused(training):
    with pytest.raises(ValueError, match=r'all pixels of the 2 masks of the set are ignored; .* 0'):
        content_of([[255], [255]]).check(training)


def test_one_class_can_be_measured_but_not_learned():
    content = content_of([[1], [1]], classes=('a', 'b', 'c'))
    content.check(training=False)
    with pytest.raises(ValueError, match="hold 'b' alone, there are no other pixels; the first is"):
        content.check(training=True)


def test_no_masks_are_no_fault():
    content = content_of([])
    content.check(training=True)
    assert content.remarks() == []


def test_nothing_to_remark():
    assert content_of([[0, 1, 255], [0]]).remarks() == []


def test_classes_without_pixels_are_named():
    content = content_of([[0, 255], [2]], classes=('a', 'b', 'c', 'd'))
    assert content.remarks() == ["2 of 4 classes have no pixel in the 2 masks of the set: 'b', 'd'"]
    many = content_of([[0, 1]], classes=[str(number) for number in range(150)])
    (remark,) = many.remarks()
    assert remark.endswith(f"'20', '21', {148 - MOST_NAMES} more")


def test_a_reduced_label_is_named_beside_them():
    """Masks from 0 on lose their first class, and the last has no pixel."""
    (remark,) = content_of([[0, 1]], reduced=True).remarks()
    assert '(reduce_zero_label=True: 1 is the first class in masks)' in remark
    assert remark.endswith("'thing'")


def test_masks_of_ignored_pixels_are_counted():
    content = content_of([[0, 1, 255], [255], [255, 255]])
    assert content.remarks() == [
        '2 of 3 masks of the set hold only ignored pixels; the first is 1.png'
    ]


def test_lossy_masks_are_counted():
    content = content_of([[0, 1]], lossy=True)
    assert content.remarks() == [
        '1 of 1 masks of the set are JPEG files, whose compression changes labels; the first is '
        '0.png'
    ]


def test_a_class_that_is_ignored_is_named():
    content = content_of([[0, 1, 2]], classes=('a', 'b', 'c'), ignored=0)
    assert content.remarks() == ["the ignored label 0 is class 'a': it is not learned"]


def test_two_ways_to_write_two_classes_are_noticed():
    (remark,) = content_of([[0, 1], [0, 255], [0]]).remarks()
    assert remark == (
        "1 of 3 masks of the set hold 'ground' and ignored pixels, the others 'ground' and 'thing' "
        "(if 'thing' is 255 in some, save it as 1); the first is 1.png"
    )
    assert content_of([[0, 1, 255], [0, 255]]).remarks() == []  # here 255 is what it says
