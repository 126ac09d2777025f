"""Flowers, Cars and iNaturalist in their layouts, and what is wrong in them."""

import json

import numpy as np
import pytest
from scipy.io import savemat
from tiny.transfer import (
    SPECIES,
    inaturalist_content,
    save_cars,
    save_cars_file,
    save_flowers,
    save_image,
    save_inaturalist,
    save_merged_cars,
)

from poa_mm.datasets import UnreadableImageError
from poa_mm.registry import DATASETS


def build(kind, root, **kwargs):
    return DATASETS.build({'type': f'{kind}Images', 'data_root': str(root), **kwargs})


def rows(dataset):
    """What each image is called, its label and its value."""
    infos = [dataset.get_data_info(row) for row in range(len(dataset))]
    return [
        (info['img_path'].rpartition('/')[2], info['gt_label'], int(dataset[row]['img'].mean()))
        for row, info in enumerate(infos)
    ]


@pytest.fixture(scope='module')
def flowers(tmp_path_factory):
    root = tmp_path_factory.mktemp('flowers')
    save_flowers(root, classes=5)
    return root


def test_flowers(flowers):
    assert rows(build('Flowers102', flowers, split='train'))[1] == ('image_00002.jpg', 1, 2)
    names = {
        split: [name for name, _, _ in rows(build('Flowers102', flowers, split=split))]
        for split in ('train', 'val', 'trainval', 'test')
    }
    assert names['trainval'] == names['train'] + names['val']
    assert not set(names['trainval']) & set(names['test'])
    assert {split: len(found) for split, found in names.items()} == {
        'train': 5,
        'val': 5,
        'trainval': 10,
        'test': 5,
    }
    data = build('Flowers102', flowers)
    assert data.split == 'trainval'
    assert len(data.CLASSES) == 102
    assert data.get_gt_labels().tolist() == [0, 1, 2, 3, 4] * 2


def test_an_evaluation_on_val_replaces_no_image(flowers, tmp_path):
    save_flowers(tmp_path, classes=2)
    (tmp_path / 'jpg' / 'image_00003.jpg').write_text('no image')
    with pytest.raises(UnreadableImageError, match=r'image_00003.jpg cannot be read'):
        build('Flowers102', tmp_path, split='val', test_mode=True)[0]
    assert build('Flowers102', tmp_path, split='val')[0]['gt_label'] == 1


def test_columns_and_folders_of_torchvision(tmp_path):
    root = tmp_path / 'flowers-102'
    save_flowers(root, classes=2)
    savemat(root / 'imagelabels.mat', {'labels': np.arange(6)[:, None] % 2 + 1})
    assert build('Flowers102', tmp_path).get_gt_labels().tolist() == [0, 1, 0, 1]


def test_wrong_flowers(tmp_path):
    with pytest.raises(FileNotFoundError, match=f'no folder {tmp_path}/x of Oxford 102 Flowers'):
        build('Flowers102', tmp_path / 'x')
    with pytest.raises(FileNotFoundError, match=r'no annotation file .*/imagelabels.mat'):
        build('Flowers102', tmp_path)
    save_flowers(tmp_path, classes=2)
    with pytest.raises(ValueError, match="unknown split 'valid': choose one of"):
        build('Flowers102', tmp_path, split='valid')
    (tmp_path / 'jpg' / 'image_00002.jpg').unlink()
    with pytest.raises(FileNotFoundError, match=r'1 of 4 images .* the first is .*image_00002.jpg'):
        build('Flowers102', tmp_path)
    savemat(tmp_path / 'imagelabels.mat', {'labels': [1.0, 103.0, 1.0, 1.0]})
    with pytest.raises(ValueError, match=r'class 102 of image_00002.jpg .* none of the 102'):
        build('Flowers102', tmp_path)
    savemat(tmp_path / 'imagelabels.mat', {'labels': [1.0]})
    with pytest.raises(ValueError, match=r'setid.mat names image 2, but imagelabels.mat has 1'):
        build('Flowers102', tmp_path)
    savemat(tmp_path / 'imagelabels.mat', {'label': [1.0]})
    with pytest.raises(ValueError, match=r'it holds label, not labels'):
        build('Flowers102', tmp_path)
    (tmp_path / 'imagelabels.mat').write_bytes(b'PK\3\4 an archive, say' * 20)
    with pytest.raises(ValueError, match=r'imagelabels.mat is no annotation file .* can be'):
        build('Flowers102', tmp_path)


@pytest.mark.parametrize(
    'layout',
    [
        {},
        {'labels': '.'},
        {'train': 'cars_train/cars_train', 'test': 'cars_test/cars_test', 'labels': '.'},
        {'devkit': 'car_devkit/devkit', 'labels': 'car_devkit/devkit'},
    ],
)
@pytest.mark.parametrize('inner', ['', 'stanford_cars'])
def test_layouts_of_cars(tmp_path, layout, inner):
    save_cars(tmp_path / inner, **layout)
    train, test = (build('StanfordCars', tmp_path, split=split) for split in ('train', 'test'))
    assert [label for _, label, _ in rows(train)] == [13, 195, 0, 1]
    assert rows(test) == [('00001.jpg', 1, 10), ('00002.jpg', 0, 20), ('00003.jpg', 195, 30)]
    assert len(train.CLASSES) == 196


def test_cars_in_one_folder(tmp_path):
    save_merged_cars(tmp_path)
    train, test = (rows(build('StanfordCars', tmp_path, split=s)) for s in ('train', 'test'))
    assert [(name, label) for name, label, _ in test] == [
        ('000002.jpg', 1),
        ('000004.jpg', 0),
        ('000007.jpg', 195),
    ]
    assert [label for _, label, _ in train] == [13, 195, 0, 1]


def test_wrong_cars(tmp_path):
    save_cars(tmp_path / 'a', labels=None)
    with pytest.raises(FileNotFoundError, match=r'annos_withlabels.mat .*annos.mat has no labels'):
        build('StanfordCars', tmp_path / 'a', split='test')
    save_cars(tmp_path / 'b')
    (tmp_path / 'b' / 'devkit' / 'cars_train_annos.mat').unlink()
    save_cars_file(tmp_path / 'b' / 'cars_annos.mat', ['car_ims/000001.jpg'] * 2, [1, 1])
    with pytest.raises(
        FileNotFoundError, match='numbers the images of car_ims, which is not there'
    ):
        build('StanfordCars', tmp_path / 'b')
    unlabelled = tmp_path / 'b' / 'devkit' / 'cars_test_annos.mat'
    unlabelled.rename(unlabelled.with_name('cars_test_annos_withlabels.mat'))
    with pytest.raises(ValueError, match='its annotations have no class'):
        build('StanfordCars', tmp_path / 'b', split='test')
    with pytest.raises(FileNotFoundError, match=r'has no devkit/cars_train_annos.mat of Stanford'):
        build('StanfordCars', tmp_path)
    with pytest.raises(ValueError, match="unknown split 'val'"):
        build('StanfordCars', tmp_path, split='val')


def test_inaturalist(tmp_path):
    save_inaturalist(tmp_path, 2018)
    data = build('INaturalist', tmp_path, ann_file='train2018.json')
    assert tuple(name for _, name in reversed(SPECIES)) == data.CLASSES  # in the order of ids
    assert [label for _, label, _ in rows(data)] == [2, 1, 0, 2, 1, 0]
    assert [value // 20 for _, _, value in rows(data)] == [0, 1, 2, 3, 4, 5]


def broken(change):
    content = inaturalist_content(2019)
    change(content)
    return json.dumps(content)


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('{', r'val2019.json is no JSON file: '),
        ('[]', 'with labels: it has no list of images'),
        (broken(lambda c: c.pop('annotations')), 'with labels: it has no list of annotations'),
        (broken(lambda c: c['annotations'].pop()), '1 of 6 images have no annotation.*id 100'),
        (broken(lambda c: c['categories'].pop()), 'category 1 of image 105 is unknown'),
        (broken(lambda c: c['images'][2].pop('file_name')), r'images\[2\] must have id and file_n'),
        (
            broken(lambda c: c['annotations'][0].update(image_id=100)),
            'image 100 has several categories',
        ),
        (broken(lambda c: c.update(images=[])), 'lists no images'),
    ],
)
def test_wrong_files_of_inaturalist(tmp_path, text, message):
    save_inaturalist(tmp_path, 2019)
    (tmp_path / 'val2019.json').write_text(text)
    with pytest.raises(ValueError, match=message) as error:
        build('INaturalist', tmp_path, ann_file='val2019.json')
    assert '\n' not in str(error.value)


def test_wrong_folders_of_inaturalist(tmp_path):
    save_inaturalist(tmp_path, 2019)
    with pytest.raises(FileNotFoundError, match=r'no annotation file of iNat.*/train2018.json'):
        build('INaturalist', tmp_path, ann_file='train2018.json')
    classes = [str(label) for label in range(8142)]
    with pytest.raises(ValueError, match='has 3 categories, the config 8142 classes'):
        build('INaturalist', tmp_path, ann_file='val2019.json', classes=classes)
    (tmp_path / 'train_val2019').rename(tmp_path / 'images')
    with pytest.raises(FileNotFoundError, match=r'6 of 6 images .* are not there, the first is'):
        build('INaturalist', tmp_path, ann_file='val2019.json')


def test_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))
    save_image(tmp_path / 'data' / 'car_ims' / '1.jpg', 1)
    names = ['car_ims/1.jpg'] * 2
    path = tmp_path / 'data' / 'cars_annos.mat'
    save_cars_file(path, names, [1, 1], 'relative_im_path', [0, 1])
    assert len(build('StanfordCars', '~/data')) == 1
