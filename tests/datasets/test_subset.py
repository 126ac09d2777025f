"""Lists of a part of the images, as they are published and as our tool draws them."""

import os
from collections import Counter

import numpy as np
import pytest
from helpers import load_tool
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from poa_mm.datasets import ImageFolder
from poa_mm.datasets.subset import draw_subset, read_subset, write_subset

IMAGES = [
    'n01440764/n01440764_10026.JPEG',
    'n01440764/n01440764_10042.JPEG',
    'n01443537/n01443537_11.JPEG',
    'n01443537/n01443537_7 b.JPEG',
]
LABELS = [0, 0, 1, 1]


def read(folder, text, images=IMAGES, labels=LABELS):
    path = folder / 'list.txt'
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_subset(path, 'train', images, labels)


@pytest.mark.parametrize(
    'text',
    [
        'n01440764_10042.JPEG\nn01443537_11.JPEG\n',
        'n01443537_11.JPEG\nn01440764_10042.JPEG',  # in another order, the last line without an end
        'n01440764/n01440764_10042.JPEG\nn01443537/n01443537_11.JPEG\n',
        'train/n01440764/n01440764_10042.JPEG\n./n01443537/n01443537_11.JPEG\n',
        '/data/imagenet/train/n01440764/n01440764_10042.JPEG\nn01443537_11.JPEG\n',
        'n01440764\\n01440764_10042.JPEG\r\nn01443537\\n01443537_11.JPEG\r\n',
        'n01440764_10042\nn01443537_11\n',
        'n01440764_10042.jpg\nn01443537/n01443537_11.png\n',
        '\ufeffn01440764_10042.JPEG\r\n\r\n  n01443537_11.JPEG  \r\n\r\n',
        'n01440764_10042.JPEG\nn01443537_11.JPEG\n'.encode('utf-16'),
        'n01440764/n01440764_10042.JPEG 0\nn01443537/n01443537_11.JPEG\t1\n',
    ],
)
def test_forms_of_lists(tmp_path, text):
    assert read(tmp_path, text) == [1, 2]


def test_names_with_blanks(tmp_path):
    assert read(tmp_path, 'n01443537_7 b.JPEG\n') == [3]
    assert read(tmp_path, 'a 1\n', ['x/a 1.jpg', 'y/a.jpg']) == [0]  # a name, not a with label 1
    assert read(tmp_path, 'a 1.jpg 0\n', ['x/a 1.jpg', 'y/a.jpg']) == [0]


def test_the_exact_name_comes_before_one_with_another_extension(tmp_path):
    assert read(tmp_path, 'a.png\n', ['x/a.jpg', 'x/a.png']) == [1]


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('n01440764_1.JPEG\n', 'line 1: n01440764_1.JPEG is not in train$'),
        (
            '\nn01440764_10042.JPEG\nx.JPEG\ny.JPEG\nz.JPEG\n',
            'line 3: x.JPEG is not in train, nor are 2 other names of 4',
        ),
        ('n01443537/n01440764_10042.JPEG\n', 'line 1: n01443537/n01440764_10042.JPEG is not in'),
        (
            'n01440764_10042.JPEG\nn01440764/n01440764_10042.jpg\n',
            'line 2: n01440764/n01440764_10042.jpg is listed twice, first in line 1',
        ),
        ('n01443537_11.JPEG 0\n', 'line 1: n01443537_11.JPEG 0 is the label of another folder'),
        ('\r\n\n', 'list.txt names no image'),
        ('', 'list.txt names no image'),
        (b'PK\3\4\0\0\0', 'list.txt is no list of file names: it is not text'),
        (b'\xff\xfea', 'list.txt is no list of file names: it is not text'),
    ],
)
def test_wrong_lists(tmp_path, text, message):
    with pytest.raises(ValueError, match=message) as error:
        read(tmp_path, text)
    assert '\n' not in str(error.value)


def test_a_name_of_several_images(tmp_path):
    images = ['cat/1.jpg', 'dog/1.jpg', 'dog/deep/1.jpg']
    with pytest.raises(ValueError, match=r'line 1: 1.jpg may be any of cat/1.jpg, dog/1.jpg'):
        read(tmp_path, '1.jpg\n', images)
    assert read(tmp_path, 'dog/1.jpg\ncat/1.jpg\n', images) == [0, 1]


def test_no_list(tmp_path):
    for path in (tmp_path / 'none.txt', tmp_path):
        with pytest.raises(FileNotFoundError, match=f'at {path}.*tools/make_subset.py'):
            read_subset(path, 'train', IMAGES)


def test_shares_of_imagenet():
    sizes = [1300] * 90 + [732 + 50 * label for label in range(9)]  # of a tenth of its classes
    sizes.append(128117 - sum(sizes))
    classes = [f'n{label:08}' for label, size in enumerate(sizes) for _ in range(size)]
    one, ten = (draw_subset(classes, percent=percent, seed=0) for percent in (1, 10))
    assert (len(one), len(ten)) == (1281, 12811)
    assert Counter(Counter(classes[row] for row in one).values()) == {13: 81, 12: 19}
    assert set(one) <= set(ten)


@given(
    sizes=st.lists(st.integers(1, 12), min_size=1, max_size=5),
    percent=st.floats(0.1, 100),
    seed=st.integers(0, 3),
)
def test_every_share(sizes, percent, seed):
    classes = [f'{label}' for label, size in enumerate(sizes) for _ in range(size)]
    rows = draw_subset(classes, percent=percent, seed=seed)
    wanted = max(int(round(len(classes) * percent / 100, 6)), len(sizes))
    assert len(rows) == len(set(rows)) == wanted
    assert rows == sorted(rows)
    counts = Counter(classes[row] for row in rows)
    most = max(counts.values())
    for label, size in enumerate(sizes):  # as even as sizes allow
        assert counts[f'{label}'] >= min(size, most - 1) >= (most > 1)
    more = draw_subset(classes, percent=min(100, percent * 2), seed=seed)
    assert set(rows) <= set(more)


def test_images_per_class():
    classes = ['cat'] * 50 + ['dog'] * 3
    rows = draw_subset(classes, per_class=3, seed=1)
    assert Counter(classes[row] for row in rows) == {'cat': 3, 'dog': 3}
    assert rows != draw_subset(classes, per_class=3, seed=2)
    cats = draw_subset(classes[:50], per_class=3, seed=1)  # whatever other classes there are
    assert rows[:3] == cats


@pytest.mark.parametrize(
    ('share', 'message'),
    [
        ({'percent': 0}, 'above 0 and at most 100, got 0'),
        ({'percent': float('nan')}, 'got nan'),
        ({'percent': 101}, 'got 101'),
        ({'per_class': 0}, 'images per class must be 1, got 0'),
        ({'per_class': 4}, 'must be at most 3, which is all of dog, got 4'),
        ({}, 'either a percentage or a number'),
        ({'percent': 1, 'per_class': 1}, 'either a percentage or a number'),
    ],
)
def test_shares_out_of_range(share, message):
    with pytest.raises(ValueError, match=message):
        draw_subset(['cat'] * 5 + ['dog'] * 3, **share, seed=0)


def test_names_on_disk_come_back(tmp_path):
    odd = ['a/x  .jpg', os.fsdecode(b'b/caf\xe9.jpg'), 'b/é.jpg', 'b/1 2.JPG', 'c/x .jpg']
    write_subset(tmp_path / 'new' / 'list.txt', odd, [0, 1, 2, 3, 4])
    assert read_subset(tmp_path / 'new' / 'list.txt', 'train', odd) == [0, 1, 2, 3, 4]
    with pytest.raises(ValueError, match=r'a\\nb.jpg has a line break'):
        write_subset(tmp_path / 'list.txt', ['c/a\nb.jpg'], [0])


@pytest.fixture
def folder(tmp_path):
    for name in ('cat/a.png', 'cat/b.png', 'cat/c.png', 'dog/a.png', 'dog/d.png', 'emu/e.png'):
        path = tmp_path / 'train' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(path)
    return tmp_path / 'train'


def test_tool_and_data_set(folder, capsys, monkeypatch):
    tool, out = load_tool('make_subset'), folder.parent / 'half.txt'
    monkeypatch.chdir(folder.parent)
    assert tool.main(['train/', 'half.txt', '--percent', '67']) == 0
    assert capsys.readouterr().out.splitlines()[-2:] == [
        '4 of 6 images, 1 to 2 of each of 3 classes',
        'to train on them: --cfg-options train_dataloader.dataset.subset=half.txt',
    ]
    lines = out.read_text().splitlines()
    assert all('/' in line for line in lines)  # a.png is two images
    data = ImageFolder('train', with_label=True, subset='half.txt')
    paths = [data.get_data_info(row)['img_path'] for row in range(len(data))]
    assert paths == [f'train/{line}' for line in lines]
    assert sorted(set(data.get_gt_labels().tolist())) == [0, 1, 2]
    assert tool.main(['train', 'half.txt', '--per-class', '1']) == 2
    assert 'half.txt exists already' in capsys.readouterr().err
    assert tool.main(['train', 'half.txt', '--per-class', '2', '--overwrite']) == 2
    assert 'at most 1, which is all of emu, got 2' in capsys.readouterr().err
    assert out.read_text().splitlines() == lines


def test_labels_are_those_of_the_whole_folder(folder, caplog):
    (folder.parent / 'some.txt').write_text('d.png\ne\n')
    data = ImageFolder(folder, with_label=True, subset=folder.parent / 'some.txt')
    assert data.get_gt_labels().tolist() == [1, 2]
    assert data.CLASSES == ('cat', 'dog', 'emu')
    assert len(ImageFolder(folder, subset=folder.parent / 'some.txt')) == 2


def test_a_list_of_names_is_no_ann_file(folder):
    (folder / 'some.txt').write_text('d.png\n')
    with pytest.raises(ValueError, match=r'some.txt must have a name and a label.*is a subset'):
        ImageFolder(folder, with_label=True, ann_file='some.txt')
    with pytest.raises(ValueError, match='give one'):
        ImageFolder(folder, with_label=True, ann_file='some.txt', subset='some.txt')
