"""The parts of a folder of labelled images."""

import pytest
from helpers import recorded_log
from tiny.photos import write_class, write_photos

from poa_mm.classification import ClassFolders
from poa_mm.datasets.description import describe


def content(data):
    """Paths of the images with the names of their classes."""
    infos = [data.get_data_info(row) for row in range(len(data))]
    return {info['img_path']: data.metainfo['classes'][info['gt_label']] for info in infos}


def test_splits(tmp_path):
    root = write_photos(tmp_path, ('dog', 'cat'))
    train, val, test = (ClassFolders(root, part) for part in ('train', 'val', 'test'))
    assert train.metainfo['classes'] == val.metainfo['classes'] == ('cat', 'dog')
    assert content(train) == {
        str(root / 'train' / name / f'{n}.png'): name for name in ('cat', 'dog') for n in range(4)
    }
    assert content(test) == content(val)
    assert all('/val/' in path for path in content(val))
    assert describe(val) == f'8 images of 2 classes from {root}/val'
    write_photos(tmp_path, splits=['test'], number=1)
    assert len(ClassFolders(root, 'test')) == 2


def test_without_splits_a_share_is_held_out(tmp_path):
    root = write_photos(tmp_path, splits=(), number=5)
    train, val, test = (content(ClassFolders(root, part)) for part in ('train', 'val', 'test'))
    assert len(train) == 8
    assert len(val) == 2
    assert sorted(val.values()) == ['cat', 'dog']  # of each class
    assert not train.keys() & val.keys()
    assert test == val
    others = content(ClassFolders(root, 'val', split_seed=1)), ClassFolders(root, held_out=0.4)
    assert others[0] != val
    assert len(others[1]) == 6
    assert len(ClassFolders(root, held_out=None)) == 10
    said = describe(ClassFolders(root, 'val'))
    assert said.endswith(': 0.2 of each class, held out of training (split_seed=0)')


def test_labels_are_those_of_training(tmp_path):
    root = write_photos(tmp_path, ('cat', 'dog', 'emu'))
    for path in (root / 'val' / 'cat').iterdir():
        path.unlink()
    with recorded_log() as log:
        val = ClassFolders(root, 'val')
    assert sorted(set(val.get_gt_labels())) == [1, 2]
    assert ('WARNING', f'{root}/val has no images of the classes cat') in log
    named = ClassFolders(root, 'val', metainfo={'classes': ('emu', 'dog', 'cat')})
    assert sorted(set(named.get_gt_labels())) == [0, 1]


def test_a_class_that_is_not_trained_is_refused(tmp_path):
    root = write_photos(tmp_path)
    write_class(root / 'val' / 'Cat', number=1)
    with pytest.raises(ValueError, match=r'not trained: Cat; trained are cat, dog'):
        ClassFolders(root, 'val')
    # As many classes of other names are none that ImageFolder would take in their order.
    with pytest.raises(ValueError, match=r'not trained: cat, dog; trained are a, b'):
        ClassFolders(root, metainfo={'classes': ('a', 'b')})


def test_empty_folders_are_named(tmp_path):
    root = write_photos(tmp_path, splits=())
    (root / 'yak').mkdir()
    (root / 'single').mkdir()
    write_class(root / 'single', number=1)
    with recorded_log() as log:
        val = ClassFolders(root, 'val')
    assert val.metainfo['classes'] == ('cat', 'dog', 'single')
    said = '\n'.join(text for level, text in log if level == 'WARNING')
    assert 'folders without images are no classes: yak' in said
    assert 'classes of one image are not validated: single' in said


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        ({'part': 'dev'}, r"part must be one of \('train', 'val', 'test'\), got 'dev'"),
        ({'held_out': 1}, 'held_out must be between 0 and 1, got 1'),
        ({'held_out': 1.5}, 'held_out must be between 0 and 1, got 1.5'),
        ({'subset': 'list.txt'}, 'has no val folder, so 0.2 of each class are held out'),
    ],
)
def test_wrong_settings(tmp_path, settings, message):
    with pytest.raises(ValueError, match=message):
        ClassFolders(write_photos(tmp_path, splits=()), **settings)
