"""Classes of a data set and of its annotation file."""

import json
import re

import pytest
from scenes import CLASSES, write_coco

from poa_mm.datasets.coco import CheckedCocoDataset

ANNOTATIONS = 'annotations/instances_train2017.json'
TRAINING = {'filter_cfg': {'filter_empty_gt': True, 'min_size': 32}}


@pytest.fixture
def folder(tmp_path):
    write_coco(tmp_path)
    return tmp_path


def build(folder, classes=CLASSES, **options):
    return CheckedCocoDataset(
        data_root=str(folder),
        ann_file=ANNOTATIONS,
        data_prefix={'img': 'train2017/'},
        metainfo={'classes': classes},
        **options,
    )


def edit(folder, change):
    path = folder / ANNOTATIONS
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def named_objects(folder):
    """Names of the classes of each image's objects, by the file itself."""
    content = json.loads((folder / ANNOTATIONS).read_text())
    names = {category['id']: category['name'] for category in content['categories']}
    return [
        [names[o['category_id']] for o in content['annotations'] if o['image_id'] == image['id']]
        for image in content['images']
    ]


@pytest.mark.parametrize('classes', [CLASSES, ('triangle', 'hexagon'), list(CLASSES)])
def test_labels_are_those_of_the_file(folder, classes):
    """Of all its classes, and of some."""
    dataset = build(folder, classes, test_mode=True)
    found = [
        [classes[item['bbox_label']] for item in dataset.get_data_info(i)['instances']]
        for i in range(len(dataset))
    ]
    expected = [[name for name in names if name in classes] for names in named_objects(folder)]
    assert found == expected
    assert sum(map(len, found)) > 3


@pytest.mark.parametrize(
    ('classes', 'message'),
    [
        (('triangle', 'sqare', 'hexagon'), r"has no classes \['sqare'\]; it has \['triangle', "),
        (('a', 'b'), r"2017\.json has no classes \['a', 'b'\]"),
        (('hexagon', 'square', 'triangle'), r"each once: \['triangle', 'square', 'hexagon'\],"),
        (('triangle', 'triangle'), r"each once: \['triangle'\], not \['triangle', 'triangle'\]"),
        ('triangle', "classes must be a tuple of names, got 'triangle'"),
    ],
    ids=['one misspelled', 'all misspelled', 'order', 'twice', 'no comma'],
)
@pytest.mark.parametrize('options', [TRAINING, {'test_mode': True}], ids=['train', 'test'])
def test_names_that_do_not_agree(folder, classes, message, options):
    with pytest.raises(ValueError, match=message):
        build(folder, classes, **options)


def test_the_order_is_that_of_the_list_not_of_the_numbers(folder):
    edit(folder, lambda content: content['categories'].reverse())
    with pytest.raises(ValueError, match="'hexagon', 'square', 'triangle'], not"):
        build(folder)
    assert len(build(folder, CLASSES[::-1], **TRAINING)) == 4


def test_files_that_are_none(folder):
    path = folder / ANNOTATIONS
    whole = path.read_text()
    pattern = f'{re.escape(str(path))} is no file of COCO: '
    for text, message in (
        (whole[:300], 'JSONDecodeError'),
        ('[]', 'AssertionError'),
        ('{"images": []}', 'no categories'),
        ('{"images": [], "annotations": [{}], "categories": []}', r"KeyError\('image_id'\)"),
    ):
        path.write_text(text)
        with pytest.raises(ValueError, match=pattern + message):
            build(folder)
    path.unlink()
    with pytest.raises(FileNotFoundError, match=re.escape(str(path))):
        build(folder)


def test_nothing_to_learn_from(folder):
    edit(folder, lambda content: content['annotations'].clear())
    with pytest.raises(ValueError, match=r'none of the 4 images in \S* is left after .*min_size'):
        build(folder, **TRAINING)
    assert len(build(folder, test_mode=True)) == 4
