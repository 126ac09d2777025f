"""Which folders are classes, and which are for training, validation and test."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poa_mm.classification.layout import Layout, find_classes, find_layout, held_out


def make(root, *paths):
    """Write an empty file at each path; the layout reads no images."""
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()
    return root


@pytest.mark.parametrize(
    ('paths', 'expected'),
    [
        (['cat/1.jpg', 'dog/1.jpg'], ('', None, None)),
        (['train/cat/1.jpg', 'val/cat/1.jpg'], ('train', 'val', None)),
        (['Train/cat/1.jpg', 'valid/cat/1.jpg', 'test/cat/1.jpg'], ('Train', 'valid', 'test')),
        (['train2017/cat/1.jpg', 'val2017/cat/1.jpg'], ('train2017', 'val2017', None)),
        (['training/cat/1.jpg'], ('training', None, None)),
        (['train/cat/1.jpg', 'test/1.jpg'], ('train', None, None)),  # a test without labels
        (['train/cat/1.jpg', 'val/cat/1.jpg', 'lists/a.txt'], ('train', 'val', None)),
        (['train/1.jpg', 'bus/1.jpg', 'car/1.jpg'], ('', None, None)),  # a class of trains
        (['train/old/1.jpg', 'bus/1.jpg'], ('', None, None)),
        (['.cache/a.jpg', '__MACOSX/a.jpg', 'train/cat/1.jpg'], ('train', None, None)),
    ],
)
def test_layouts(tmp_path, paths, expected):
    make(tmp_path, *paths)
    train, val, test = (None if part is None else str(tmp_path / part) for part in expected)
    assert find_layout(tmp_path) == Layout(str(tmp_path), train, val, test)


@pytest.mark.parametrize(
    ('paths', 'message'),
    [
        (['train/cat/1.jpg', 'training/cat/1.jpg'], 'several folders for train: train, training'),
        (['train/1.jpg', 'val/1.jpg'], 'train has no sub-folders: put the images of each class'),
    ],
)
def test_layouts_that_say_nothing(tmp_path, paths, message):
    with pytest.raises(ValueError, match=message):
        find_layout(make(tmp_path, *paths))


def test_a_folder_that_is_not_there():
    with pytest.raises(FileNotFoundError, match='there is no image folder nowhere'):
        find_layout('nowhere')


def test_classes_are_folders_with_images(tmp_path):
    make(
        tmp_path,
        *('b/1.JPG', 'a c/deep/2.Png', 'ü 猫/3.webp', 'empty/notes.txt'),
        *('.hidden/1.jpg', 'a c/.DS_Store', 'loose.jpg'),
    )
    assert find_classes(find_layout(tmp_path)) == ('a c', 'b', 'ü 猫')


@pytest.mark.parametrize(
    ('paths', 'message'),
    [
        (['cat/1.jpg'], r'one class only \(cat\): put those of each class, two at least'),
        (['data/cat/1.jpg', 'data/dog/1.jpg'], 'the classes are the sub-folders of .*/data, name'),
        (['cat/1.txt', 'dog/1.txt'], 'no images in class sub-folders of .*: files count if'),
        (['1.jpg', '2.jpg'], 'no images in class sub-folders of'),
    ],
)
def test_too_few_classes(tmp_path, paths, message):
    with pytest.raises(ValueError, match=message):
        find_classes(find_layout(make(tmp_path, *paths)))


NAMES = st.lists(st.text('abc1_', min_size=1), min_size=1, max_size=30, unique=True)


@given(NAMES, st.floats(0.01, 0.99), st.integers(0, 3))
def test_some_but_not_all_are_held_out(images, share, seed):
    chosen = held_out(images, share, seed)
    assert chosen < set(images)
    assert bool(chosen) == (len(images) > 1)
    assert abs(len(chosen) - share * len(images)) <= 1
    assert held_out(images[::-1], share, seed) == chosen


@given(NAMES, st.integers(0, 3))
def test_a_new_image_moves_at_most_one_other(images, seed):
    before = held_out(images, 0.2, seed)
    after = held_out([*images, 'new'], 0.2, seed)
    assert len((before ^ after) - {'new'}) <= 1


def test_each_seed_holds_out_others():
    images = [f'{number}.jpg' for number in range(20)]
    drawn = Counter(image for seed in range(200) for image in held_out(images, 0.2, seed))
    assert set(drawn) == set(images)
    assert max(drawn.values()) < 3 * min(drawn.values())
